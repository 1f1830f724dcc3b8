# expect: VectorizeError 8:5 this loop was not vectorised for avx2: a value goes from turn to turn, and not as a sum or as a minimum or maximum of whole numbers
from hekla.lang import f32, MutView, vectorize, View


@vectorize(arch="avx2")
def program(x: MutView[f32, 1]):
    state = f32(1.0)
    for i in range(len(x)):
        state = state * 0.5 + x[i]
        x[i] = state
