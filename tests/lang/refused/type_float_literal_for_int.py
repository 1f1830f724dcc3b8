# expect: KernelTypeError 7:12 1.5 is not a whole number, and i32 is wanted
from hekla.lang import i32, kernel, MutView


@kernel
def program(x: MutView[i32, 1]):
    x[0] = 1.5
