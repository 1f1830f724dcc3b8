# expect: OwnershipError 9:9 'r' was moved
from hekla.lang import f32, index, kernel, region


@kernel
def program(n: index) -> f32:
    r = region(1024)
    s = r
    a = r.take(f32, n)
    return a[0]
