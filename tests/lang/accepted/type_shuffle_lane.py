from hekla.lang import f32, kernel, load, MutView, shuffle


@kernel
def program(x: MutView[f32, 1]):
    v = shuffle(load(x, 0, width=4), indices=(0, 1, 2, 3))
    x[0] = v[0]
