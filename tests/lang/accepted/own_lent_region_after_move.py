from hekla.lang import f32, index, kernel, region


@kernel
def total(r: region, n: index) -> f32:
    a = r.take(f32, n)
    return a[0]


@kernel
def program(n: index) -> f32:
    r = region(1024)
    s = r
    return total(s, n) + total(s, n)
