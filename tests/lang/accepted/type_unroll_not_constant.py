from hekla.lang import f32, index, kernel, MutView, unroll


@kernel
def program(x: MutView[f32, 1], n: index):
    for i in unroll(range(4)):
        x[i] = 0.0
