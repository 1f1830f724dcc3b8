# expect: KernelTypeError 7:12 View[f32, 2] takes 2 indices, got 3
from hekla.lang import f32, kernel, MutView, View


@kernel
def program(x: View[f32, 2], y: MutView[f32, 1]):
    y[0] = x[0, 1, 2]
