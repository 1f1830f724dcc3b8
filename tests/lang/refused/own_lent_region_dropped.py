# expect: OwnershipError 9:5 'r' is lent by the caller, and cannot be dropped
from hekla.lang import drop, f32, index, kernel, region


@kernel
def program(r: region, n: index) -> f32:
    a = r.take(f32, n)
    found = a[0]
    drop(r)
    return found
