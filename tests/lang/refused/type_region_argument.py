# expect: KernelTypeError 14:18 total(r) must be region, got Buffer[f32]
from hekla.lang import buffer, f32, index, kernel, region


@kernel
def total(r: region, n: index) -> f32:
    a = r.take(f32, n)
    return a[0]


@kernel
def program(n: index) -> f32:
    r = buffer(f32, 1024)
    return total(r, n)
