# expect: OwnershipError 7:9 'r' is lent by the caller, and cannot be moved
from hekla.lang import f32, index, kernel, region


@kernel
def program(r: region, n: index) -> f32:
    s = r
    a = s.take(f32, n)
    return a[0]
