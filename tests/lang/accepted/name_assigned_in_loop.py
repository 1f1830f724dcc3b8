from hekla.lang import f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    a = x[0]
    for i in range(n):
        a = x[i]
    x[0] = a
