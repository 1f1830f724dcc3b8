# expect: KernelTypeError 6:13 Array[f32, 4] cannot be a parameter
from hekla.lang import Array, f32, kernel


@kernel
def program(x: Array[f32, 4]):
    return
