from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = 1.0
    b = a
    x[0] = b
