# expect: VectorizeError 7:5 this loop was not vectorised for avx512: a turn may read what an earlier one wrote
from hekla.lang import f32, i32, index, MutView, vectorize, View


@vectorize(arch="avx512")
def program(x: MutView[f32, 1], at: View[i32, 1]):
    for i in range(len(at)):
        x[index(at[i])] += 1.0
