from hekla.lang import f32, kernel, MutView, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    s = 0.0
    for i in range(len(x)):
        s += x[i]
    y[0] = s
