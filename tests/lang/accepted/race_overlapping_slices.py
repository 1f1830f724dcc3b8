from hekla.lang import f32, kernel, MutView, parallel, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    for i in parallel(len(y) // 8):
        part = y[8 * i:8 * i + 8]
        for j in range(8):
            part[j] = x[j]
