from hekla.lang import buffer, f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    a = buffer(f32, n)
    b = buffer(f32, n)
    v = a.view()
    if n > 3:
        v = b.view()
    x[0] = v[0]
