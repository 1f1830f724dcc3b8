from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = x.view()
    b = a[0]
    x[0] = 1.0
    x[1] = b
