from hekla.lang import f32, kernel, MutView, View


@kernel
def program(x: View[f32, 2], y: MutView[f32, 1]):
    y[0] = x[0][1]
