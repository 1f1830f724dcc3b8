from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = x[0:4]
    a[0] = 1.0
    a[1] = 3.0
    b = x[2:6]
    b[0] = 2.0
