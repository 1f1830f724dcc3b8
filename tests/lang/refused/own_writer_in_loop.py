# expect: OwnershipError 9:9 'x' is written while 'v', which may write the same memory, is still in use
from hekla.lang import f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    v = x[0:1]
    for i in range(n):
        x[i] = 1.0
        v[0] = 2.0
