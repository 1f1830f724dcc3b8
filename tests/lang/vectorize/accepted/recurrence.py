from hekla.lang import f32, MutView, vectorize, View


@vectorize(arch="avx2")
def program(x: MutView[f32, 1]):
    state = f32(1.0)
    for i in range(len(x)):
        x[i] = state * 0.5 + x[i]
