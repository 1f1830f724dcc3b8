# expect: KernelTypeError 17:26 g= takes a kernel
from hekla.lang import f32, Function, kernel, MutView


@kernel
def f(a: f32) -> f32:
    return a


@kernel
def apply(a: f32, *, g: Function) -> f32:
    return g(a)


@kernel
def program(x: MutView[f32, 1]):
    x[0] = apply(x[0], g=1)
