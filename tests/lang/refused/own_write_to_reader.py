# expect: KernelTypeError 7:5 'x' is View[f32, 1], which only reads
from hekla.lang import f32, kernel, View


@kernel
def program(x: View[f32, 1]):
    x[0] = 1.0
