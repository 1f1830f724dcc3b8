# expect: KernelTypeError 7:14 an index counts from the start
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    x[0] = x[-1]
