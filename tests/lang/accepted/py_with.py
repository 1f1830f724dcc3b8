from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    x[0] = 1.0
