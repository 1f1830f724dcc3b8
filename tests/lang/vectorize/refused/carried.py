# expect: VectorizeError 7:5 this loop was not vectorised for avx2: a turn may read what an earlier one wrote
from hekla.lang import f32, MutView, vectorize, View


@vectorize(arch="avx2")
def program(x: MutView[f32, 1]):
    for i in range(1, len(x)):
        x[i] = x[i - 1] * 2.0
