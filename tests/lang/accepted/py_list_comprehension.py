from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    for i in range(3):
        x[i] = 0.0
