# expect: KernelTypeError 12:26 f() has no compile-time parameter 'widht'
from hekla.lang import Const, f32, kernel, MutView


@kernel
def f(a: f32, *, width: Const = 2) -> f32:
    return a * width


@kernel
def program(x: MutView[f32, 1]):
    x[0] = f(x[0], widht=4)
