# expect: OwnershipError 9:12 'a' was dropped
from hekla.lang import buffer, drop, f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    a = buffer(f32, n)
    drop(a)
    x[0] = a[0]
