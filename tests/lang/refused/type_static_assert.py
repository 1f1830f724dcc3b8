# expect: KernelTypeError 10:5 w is a multiple of 16
from hekla.lang import f32, kernel, MutView, static_assert


w = 8


@kernel
def program(x: MutView[f32, 1]):
    static_assert(w % 16 == 0, 'w is a multiple of 16')
    x[0] = 1.0
