# expect: KernelTypeError 7:5 the arrays of program need 400000 bytes of stack, the limit is 262144
from hekla.lang import Array, f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = Array[f32, 100000](0.0)
    x[0] = a[1]
