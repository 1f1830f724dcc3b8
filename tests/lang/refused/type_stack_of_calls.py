# expect: KernelTypeError 13:5 program needs 320000 bytes of stack with inner, the limit is 262144
from hekla.lang import Array, f32, index, kernel, MutView


@kernel
def inner(x: f32) -> f32:
    a = Array[f32, 40000](0.0)
    a[1] = x
    return a[index(x)]


@kernel
def program(x: MutView[f32, 1]):
    b = Array[f32, 40000](0.0)
    b[index(x[0])] = 1.0
    x[0] = inner(x[1]) + b[2]
