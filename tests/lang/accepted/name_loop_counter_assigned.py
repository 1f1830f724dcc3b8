from hekla.lang import f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    for i in range(n):
        j = i + 3
        x[i] = f32(j)
