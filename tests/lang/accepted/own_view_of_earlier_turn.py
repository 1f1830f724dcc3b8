from hekla.lang import buffer, f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    a = buffer(f32, n)
    v = a.view()
    for i in range(n):
        b = buffer(f32, n)
        v = b.view()
        x[i] = v[0]
