from hekla.lang import f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    for i in range(n):
        x[i] = 1.0
        v = x[0:1]
        v[0] = 2.0
