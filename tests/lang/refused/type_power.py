# expect: KernelTypeError 7:12 ** does not take f32
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    x[0] = x[0] ** 2
