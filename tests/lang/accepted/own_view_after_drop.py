from hekla.lang import buffer, drop, f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    a = buffer(f32, n)
    v = a.view()
    x[0] = v[0]
    drop(a)
