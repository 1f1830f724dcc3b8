# expect: KernelTypeError 7:12 + needs two values of one type, got f32 and i32
from hekla.lang import f32, i32, kernel, MutView


@kernel
def program(x: MutView[f32, 1], k: i32):
    x[0] = x[0] + k
