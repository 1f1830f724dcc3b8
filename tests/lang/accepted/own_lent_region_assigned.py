from hekla.lang import f32, index, kernel, region


@kernel
def program(r: region, n: index) -> f32:
    s = region(1024)
    return s.take(f32, n)[0] + r.take(f32, n)[0]
