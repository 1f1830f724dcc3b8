# expect: KernelTypeError 10:12 the name 'scal' is not known
from hekla.lang import f32, kernel, MutView


scale = 2.0


@kernel
def program(x: MutView[f32, 1]):
    x[0] = scal
