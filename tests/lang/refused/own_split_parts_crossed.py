# expect: OwnershipError 9:5 'a' is written while 'c', which may write the same memory, is still in use
from hekla.lang import f32, kernel, MutView, split


@kernel
def program(x: MutView[f32, 1]):
    a, b = split(x, 4)
    c = a[0:2]
    a[0] = b[0]
    c[0] = 1.0
