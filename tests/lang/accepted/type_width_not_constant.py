from hekla.lang import f32, index, kernel, load, MutView


w = 8


@kernel
def program(x: MutView[f32, 1], n: index):
    v = load(x, 0, width=w)
    x[0] = v[0]
