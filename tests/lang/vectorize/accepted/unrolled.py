from hekla.lang import f32, MutView, vectorize, View


@vectorize(arch="avx2")
def program(x: MutView[f32, 1]):
    for i in range(4):
        x[i] = x[i] * x[i]
