# expect: KernelTypeError 7:12 the result must be i32, got f32
from hekla.lang import f32, i32, kernel


@kernel
def program(x: f32) -> i32:
    return x
