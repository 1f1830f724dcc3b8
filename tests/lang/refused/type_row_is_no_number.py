# expect: KernelTypeError 7:12 what is stored must be f32, got View[f32, 1]
from hekla.lang import f32, kernel, MutView, View


@kernel
def program(x: View[f32, 2], y: MutView[f32, 1]):
    y[0] = x[0]
