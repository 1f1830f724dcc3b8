# expect: OwnershipError 8:12 this view looks at 'a', which is gone when the kernel returns
from hekla.lang import buffer, f32, index, kernel, View


@kernel
def first(n: index) -> View[f32, 1]:
    a = buffer(f32, n)
    return a.view()


@kernel
def program(n: index) -> f32:
    v = first(n)
    return v[0]
