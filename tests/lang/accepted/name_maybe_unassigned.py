from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = 0.0
    if x[0] > 0.0:
        a = 1.0
    x[0] = a
