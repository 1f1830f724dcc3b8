from hekla.lang import f32, kernel, MutView


@kernel
def f(a: MutView[f32, 1]) -> MutView[f32, 1]:
    return a[2:4]


@kernel
def program(x: MutView[f32, 1]):
    v = f(x)
    v[0] = 2.0
    x[0] = 1.0
