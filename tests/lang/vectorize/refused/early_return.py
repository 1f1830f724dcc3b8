# expect: VectorizeError 7:5 this loop was not vectorised for avx2: it may leave early, and what lies behind may not be read
from hekla.lang import f32, index, vectorize, View


@vectorize(arch="avx2")
def program(x: View[f32, 1]) -> index:
    for i in range(len(x)):
        if x[i] > 3.0:
            return i
    return -1
