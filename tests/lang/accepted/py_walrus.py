from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = x[0]
    if a > 1.0:
        x[0] = a
