from hekla.lang import f32, MutView, vectorize, View


@vectorize(arch="native")
def program(x: MutView[f32, 1]):
    for i in range(len(x)):
        x[i] *= 2.0
