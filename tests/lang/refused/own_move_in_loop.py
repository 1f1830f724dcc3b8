# expect: OwnershipError 9:13 'a' is given away in a loop, and the next turn would find it gone
from hekla.lang import buffer, f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    a = buffer(f32, n)
    for i in range(n):
        b = a
