from hekla.lang import f32, kernel, MutView, split


@kernel
def program(x: MutView[f32, 1]):
    a, b = split(x, 4)
    a[0] = b[0]
    x[0] = 1.0
