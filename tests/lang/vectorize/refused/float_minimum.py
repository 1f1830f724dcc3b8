# expect: VectorizeError 8:5 this loop was not vectorised for avx2: a value goes from turn to turn, and not as a sum or as a minimum or maximum of whole numbers
from hekla.lang import f32, vectorize, View


@vectorize(arch="avx2")
def program(x: View[f32, 1]) -> f32:
    least = x[0]
    for i in range(len(x)):
        least = min(least, x[i])
    return least
