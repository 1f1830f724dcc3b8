# expect: KernelTypeError 7:9 print() gives nothing
from hekla.lang import f32, kernel


@kernel
def program(x: f32) -> f32:
    y = print(x)
    return x
