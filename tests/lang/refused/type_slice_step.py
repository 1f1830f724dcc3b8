# expect: KernelTypeError 7:15 the step of a slice is a positive constant
from hekla.lang import f32, kernel, MutView, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    c = x[8:0:-1]
    y[0] = c[0]
