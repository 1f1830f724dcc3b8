# expect: KernelTypeError 15:7 T is one of f32, f64; i32 is not
from hekla.lang import f32, f64, i32, kernel, MutView, TypeParam


T = TypeParam('T', (f32, f64))


@kernel
def f(x: MutView[T, 1]):
    x[0] = 1.0


@kernel
def program(x: MutView[i32, 1]):
    f(x)
