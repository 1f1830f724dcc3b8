from hekla.lang import f32, MutView, vectorize, View


@vectorize(arch="avx2")
def program(x: MutView[f32, 1], y: View[f32, 1]):
    for i in range(1, len(x)):
        x[i] = y[i - 1] * 2.0
