from hekla.lang import f32, index, kernel, View


@kernel
def first(a: View[f32, 1], n: index) -> View[f32, 1]:
    return a[0:n]


@kernel
def program(a: View[f32, 1], n: index) -> f32:
    v = first(a, n)
    return v[0]
