from hekla.lang import f32, index, kernel, MutView, parallel


@kernel
def program(y: MutView[f32, 1], w: index):
    for i in parallel(len(y)):
        y[i] = f32(w)
