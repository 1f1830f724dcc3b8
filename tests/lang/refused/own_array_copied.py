# expect: KernelTypeError 8:9 an Array is not copied by assigning it
from hekla.lang import Array, f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = Array[f32, 4](0.0)
    b = a
    x[0] = b[0]
