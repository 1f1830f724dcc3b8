# expect: VectorizeError 8:5 this loop was not vectorised for avx512: a sum of floats is added in order
from hekla.lang import f32, vectorize, View


@vectorize(arch="avx512")
def program(x: View[f32, 1]) -> f32:
    total = f32(0.0)
    for i in range(len(x)):
        total += x[i]
    return total
