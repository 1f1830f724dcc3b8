# expect: OwnershipError 9:9 'r' is moved while 'a', which may write the same memory, is still in use
from hekla.lang import f32, index, kernel, region


@kernel
def program(n: index) -> f32:
    r = region(1024)
    a = r.take(f32, n)
    s = r
    b = s.take(f32, n)
    return a[0] + b[0]
