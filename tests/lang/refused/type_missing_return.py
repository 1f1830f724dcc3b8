# expect: KernelTypeError 6:5 program may end without a result
from hekla.lang import f32, kernel


@kernel
def program(x: f32) -> f32:
    if x > 0.0:
        return x
