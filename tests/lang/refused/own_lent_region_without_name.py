# expect: OwnershipError 13:18 only a region in a variable can be lent
from hekla.lang import f32, index, kernel, region


@kernel
def total(r: region, n: index) -> f32:
    a = r.take(f32, n)
    return a[0]


@kernel
def program(n: index) -> f32:
    return total(region(1024), n)
