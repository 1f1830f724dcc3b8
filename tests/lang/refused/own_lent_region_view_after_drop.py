# expect: OwnershipError 15:12 'a' is used after 'r', whose memory it looks at, is freed
from hekla.lang import MutView, drop, f32, index, kernel, region


@kernel
def scratch(r: region, n: index) -> MutView[f32, 1]:
    return r.take(f32, n)


@kernel
def program(n: index) -> f32:
    r = region(1024)
    a = scratch(r, n)
    drop(r)
    return a[0]
