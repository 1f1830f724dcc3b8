from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    if 0.0 < x[0] and x[0] < 1.0:
        x[0] = 0.0
