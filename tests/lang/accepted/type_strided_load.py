from hekla.lang import f32, gather, i32, iota, kernel, MutView, store, View


@kernel
def program(x: View[f32, 2], y: MutView[f32, 1]):
    c = x[:, 0]
    v = gather(c, iota(i32, width=4))
    store(y, 0, v)
