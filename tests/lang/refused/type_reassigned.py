# expect: KernelTypeError 8:9 'a', first assigned as f32, must be f32, got index
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = x[0]
    a = len(x)
    x[0] = a
