from hekla.lang import f32, index, kernel, region


@kernel
def program(r: region, n: index) -> f32:
    a = r.take(f32, n)
    return a[0]
