from hekla.lang import i64, kernel, MutView, vectorize, View


@kernel
def step(x: i64) -> i64:
    return x * 3 + 1


@vectorize(arch="avx2")
def program(x: MutView[i64, 1]):
    for i in range(len(x)):
        x[i] = step(x[i])
