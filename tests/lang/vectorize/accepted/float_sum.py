from hekla.lang import f32, vectorize, View


@vectorize(arch="avx512", reassociate=True)
def program(x: View[f32, 1]) -> f32:
    total = f32(0.0)
    for i in range(len(x)):
        total += x[i]
    return total
