# expect: OwnershipError 13:12 this view looks at 'r', which is gone when the kernel returns
from hekla.lang import MutView, f32, index, kernel, region


@kernel
def scratch(r: region, n: index) -> MutView[f32, 1]:
    return r.take(f32, n)


@kernel
def program(n: index) -> MutView[f32, 1]:
    r = region(1024)
    return scratch(r, n)
