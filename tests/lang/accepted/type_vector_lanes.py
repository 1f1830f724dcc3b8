from hekla.lang import f32, kernel, load, MutView


@kernel
def program(x: MutView[f32, 1]):
    v = load(x, 0, width=4)
    x[0] = v[0]
