from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = 1.0
    b = 2.0
    x[0] = a + b
