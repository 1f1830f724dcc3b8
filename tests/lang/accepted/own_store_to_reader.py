from hekla.lang import f32, kernel, load, MutView, store, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    store(y, 0, load(x, 0, width=4))
