# expect: VectorizeError 7:5 this loop was not vectorised for avx2: it is so short that it was unrolled into scalar code
from hekla.lang import f32, MutView, vectorize, View


@vectorize(arch="avx2")
def program(x: MutView[f32, 1]):
    for i in range(1, 4):
        x[i] = x[i - 1] * x[i]
