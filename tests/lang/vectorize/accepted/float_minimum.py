from hekla.lang import i32, vectorize, View


@vectorize(arch="avx2")
def program(x: View[i32, 1]) -> i32:
    least = x[0]
    for i in range(len(x)):
        least = min(least, x[i])
    return least
