# expect: OwnershipError 7:5 'r' is lent by the caller, and cannot be assigned
from hekla.lang import f32, index, kernel, region


@kernel
def program(r: region, n: index) -> f32:
    r = region(1024)
    return r.take(f32, n)[0]
