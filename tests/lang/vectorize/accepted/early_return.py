from hekla.lang import f32, i32, vectorize, View


@vectorize(arch="avx2")
def program(x: View[f32, 1]) -> i32:
    found = i32(0)
    for i in range(len(x)):
        if x[i] > 3.0:
            found += 1
    return found
