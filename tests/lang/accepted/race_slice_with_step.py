from hekla.lang import f32, kernel, MutView, parallel


@kernel
def program(y: MutView[f32, 1]):
    for i in parallel(8):
        v = y[0:16:2]
        v[i] = 1.0
        y[2 * i] = 2.0
