# expect: OwnershipError 11:9 'next' is written while 'last', which may write the same memory, is still in use
from hekla.lang import f32, index, kernel, region


@kernel
def program(n: index) -> f32:
    r = region(1024)
    last = r.take(f32, 1)
    for i in range(n):
        next = r.take(f32, 1)
        next[0] = last[0] + 1.0
        last = next
    return last[0]
