from hekla.lang import f32, kernel, MutView


scale = 2.0


@kernel
def program(x: MutView[f32, 1]):
    x[0] = scale
