from hekla.lang import f32, MutView, vectorize, View


@vectorize(arch="avx2")
def program(x: MutView[f32, 1], y: MutView[f32, 1]):
    for i in range(len(x)):
        x[i] *= 2.0
    for i in range(1, len(y)):
        y[i] = y[i] + 1.0
