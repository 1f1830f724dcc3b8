# expect: KernelTypeError 7:26 print() has no keyword 'end'
from hekla.lang import f32, kernel


@kernel
def program(x: f32):
    print("x is", x, end="")
