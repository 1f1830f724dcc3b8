# expect: KernelTypeError 6:13 parameter 'x' has no type
from hekla.lang import f32, kernel


@kernel
def program(x) -> f32:
    return 1.0
