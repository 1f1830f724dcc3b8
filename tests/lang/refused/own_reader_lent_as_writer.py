# expect: KernelTypeError 12:7 f(x) must be MutView[f32, 1], got View[f32, 1]
from hekla.lang import f32, kernel, MutView, View


@kernel
def f(x: MutView[f32, 1]):
    x[0] = 1.0


@kernel
def program(x: View[f32, 1]):
    f(x)
