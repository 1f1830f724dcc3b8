# expect: OwnershipError 8:5 'x' is written while 'a', which may write the same memory, is still in use
from hekla.lang import f32, kernel, MutView, split


@kernel
def program(x: MutView[f32, 1]):
    a, b = split(x, 4)
    x[0] = 1.0
    a[0] = b[0]
