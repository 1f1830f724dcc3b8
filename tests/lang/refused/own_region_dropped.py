# expect: OwnershipError 10:12 'a' is used after 'r', whose memory it looks at, is freed
from hekla.lang import drop, f32, index, kernel, region


@kernel
def program(n: index) -> f32:
    r = region(1024)
    a = r.take(f32, n)
    drop(r)
    return a[0]
