# expect: OwnershipError 10:12 'a' was moved
from hekla.lang import buffer, f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    a = buffer(f32, n)
    if n > 3:
        b = a
    x[0] = a[0]
