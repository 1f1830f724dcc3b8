# expect: KernelTypeError 7:8 a condition must be bool, got i32
from hekla.lang import f32, i32, kernel, MutView


@kernel
def program(x: MutView[f32, 1], k: i32):
    if k:
        x[0] = 1.0
