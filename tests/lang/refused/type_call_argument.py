# expect: KernelTypeError 12:14 f(a) must be f32, got i32
from hekla.lang import f32, i32, kernel, MutView


@kernel
def f(a: f32) -> f32:
    return a


@kernel
def program(x: MutView[f32, 1], k: i32):
    x[0] = f(k)
