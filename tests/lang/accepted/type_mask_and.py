from hekla.lang import f32, kernel, load, MutView, store


@kernel
def program(x: MutView[f32, 1]):
    v = load(x, 0, width=4)
    m = (v > 0.0) & (v < 1.0)
    store(x, 0, v, mask=m)
