# expect: OwnershipError 9:5 'x' is written while 'a', which reads the same memory, is still in use
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = x.view()
    x[0] = 1.0
    x[1] = a[0]
