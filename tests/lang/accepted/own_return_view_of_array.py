from hekla.lang import Array, f32, kernel, View


@kernel
def first(a: View[f32, 1]) -> View[f32, 1]:
    return a[0:1]


@kernel
def program() -> f32:
    a = Array[f32, 4](0.0)
    v = first(a.view())
    return v[0]
