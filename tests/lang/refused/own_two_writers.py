# expect: OwnershipError 10:5 'b' is written while 'a', which may write the same memory, is still in use
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = x[0:4]
    b = x[2:6]
    a[0] = 1.0
    b[0] = 2.0
    a[1] = 3.0
