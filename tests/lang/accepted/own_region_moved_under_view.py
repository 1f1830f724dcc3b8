from hekla.lang import f32, index, kernel, region


@kernel
def program(n: index) -> f32:
    r = region(1024)
    s = r
    a = s.take(f32, n)
    b = s.take(f32, n)
    return a[0] + b[0]
