from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    for i in range(len(x)):
        x[i] = 1.0
