# expect: KernelTypeError 7:5 the result is not used
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    x[0] + 1.0
