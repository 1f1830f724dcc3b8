# expect: VectorizeError 8:5 this loop was not vectorised for avx2: how many turns it takes is not known beforehand
from hekla.lang import i64, kernel, MutView, vectorize, View


@kernel
def steps(x: i64) -> i64:
    n = x
    while n > 1:
        n = n // 3 + n % 3
    return n


@vectorize(arch="avx2")
def program(x: MutView[i64, 1]):
    for i in range(len(x)):
        x[i] = steps(x[i])
