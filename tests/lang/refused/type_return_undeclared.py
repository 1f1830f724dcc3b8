# expect: KernelTypeError 7:12 this kernel is declared to return nothing
from hekla.lang import f32, kernel


@kernel
def program(x: f32):
    return x
