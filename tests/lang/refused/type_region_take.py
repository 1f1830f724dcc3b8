# expect: KernelTypeError 8:16 a type must be known at compile time
from hekla.lang import f32, index, kernel, region


@kernel
def program(n: index) -> f32:
    r = region(1024)
    a = r.take(n, f32)
    return a[0]
