# expect: VectorizeError 8:9 this loop was not vectorised for avx2: a turn may read what an earlier one wrote
from hekla.lang import f32, MutView, parallel, vectorize, View


@vectorize(arch="avx2")
def program(x: MutView[f32, 2]):
    for row in parallel(x.shape[0]):
        for i in range(1, x.shape[1]):
            x[row, i] = x[row, i - 1] * 2.0
