from hekla.lang import drop, f32, index, kernel, region


@kernel
def program(n: index) -> f32:
    r = region(1024)
    a = r.take(f32, n)
    first = a[0]
    drop(r)
    return first
