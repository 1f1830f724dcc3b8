from hekla.lang import f32, MutView, parallel, vectorize, View


@vectorize(arch="avx2")
def program(x: MutView[f32, 2]):
    for row in parallel(x.shape[0]):
        for i in range(x.shape[1]):
            x[row, i] *= 2.0
