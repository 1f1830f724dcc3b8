# expect: OwnershipError 8:12 this view looks at 'a', which is gone when the kernel returns
from hekla.lang import Array, f32, kernel, View


@kernel
def first() -> View[f32, 1]:
    a = Array[f32, 4](0.0)
    return a.view()


@kernel
def program() -> f32:
    v = first()
    return v[0]
