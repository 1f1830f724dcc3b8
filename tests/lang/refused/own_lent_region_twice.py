# expect: OwnershipError 13:20 both() is lent the same region twice
from hekla.lang import f32, index, kernel, region


@kernel
def both(r: region, s: region, n: index) -> f32:
    return r.take(f32, n)[0] + s.take(f32, n)[0]


@kernel
def program(n: index) -> f32:
    r = region(1024)
    return both(r, r, n)
