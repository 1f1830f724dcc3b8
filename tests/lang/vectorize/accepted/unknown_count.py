from hekla.lang import i64, index, MutView, vectorize, View


@vectorize(arch="avx2")
def program(x: MutView[i64, 1]):
    n = index(0)
    while n < len(x):
        x[n] = x[n] // 2
        n += 1
