from hekla.lang import f32, kernel, MutView, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    c = x[0:8:2]
    y[0] = c[0]
