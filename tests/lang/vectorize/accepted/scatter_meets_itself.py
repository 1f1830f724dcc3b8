from hekla.lang import f32, i32, index, MutView, vectorize, View


@vectorize(arch="avx512")
def program(x: MutView[f32, 1], y: View[f32, 1], at: View[i32, 1]):
    for i in range(len(at)):
        x[i] = y[index(at[i])] + 1.0
