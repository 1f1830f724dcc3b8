from hekla.lang import f32, kernel, MutView, parallel, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    for i in parallel(8):
        for j in range(8):
            y[8 * i + j] = x[j]
