from hekla.lang import f32, kernel, MutView, split, View


@kernel
def f(a: MutView[f32, 1], b: View[f32, 1]):
    a[0] = b[0]


@kernel
def program(x: MutView[f32, 1]):
    a, b = split(x, 4)
    f(a, b.view())
