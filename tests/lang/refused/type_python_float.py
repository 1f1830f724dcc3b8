# expect: KernelTypeError 6:16 float is not a type of the language
from hekla.lang import f32, kernel


@kernel
def program(x: float) -> f32:
    return 1.0
