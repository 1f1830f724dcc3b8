from hekla.lang import f32, kernel, MutView, split


@kernel
def program(x: MutView[f32, 1]):
    a, b = split(x, 4)
    c = a[0:2]
    b[0] = 1.0
    c[0] = 1.0
