# expect: OwnershipError 14:12 'a' was moved
from hekla.lang import Buffer, buffer, f32, index, kernel, MutView


@kernel
def eat(b: Buffer[f32]):
    b[0] = 1.0


@kernel
def program(x: MutView[f32, 1], n: index):
    a = buffer(f32, n)
    eat(a)
    x[0] = a[0]
