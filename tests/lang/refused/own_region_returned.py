# expect: OwnershipError 8:12 this view looks at 'r', which is gone when the kernel returns
from hekla.lang import f32, index, kernel, MutView, region


@kernel
def program(n: index) -> MutView[f32, 1]:
    r = region(1024)
    return r.take(f32, n)
