# expect: VectorizeError 8:5 this loop was not vectorised for avx2: how many turns it takes is not known beforehand
from hekla.lang import i64, MutView, vectorize, View


@vectorize(arch="avx2")
def program(x: MutView[i64, 1]):
    n = x[0]
    while n != 1:
        n = n // 2
        x[0] = n
