# expect: KernelTypeError 12:12 f() takes 2 arguments (a, b), got 1
from hekla.lang import f32, kernel, MutView


@kernel
def f(a: f32, b: f32) -> f32:
    return a + b


@kernel
def program(x: MutView[f32, 1]):
    x[0] = f(1.0)
