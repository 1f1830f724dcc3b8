from hekla.lang import buffer, f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = buffer(f32, 100000)
    x[0] = a[1]
