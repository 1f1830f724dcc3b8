# expect: OwnershipError 12:12 'a' is used after 'inner', whose memory it looks at, is freed
from hekla.lang import f32, index, kernel, region


@kernel
def program(n: index) -> f32:
    r = region(1024)
    a = r.take(f32, n)
    if n > 3:
        inner = region(1024)
        a = inner.take(f32, n)
    return a[0]
