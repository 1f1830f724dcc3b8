# expect: KernelTypeError 8:5 this line is never reached
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    return
    x[0] = 1.0
