from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = x[0]
    b = len(x)
    x[0] = a + f32(b)
