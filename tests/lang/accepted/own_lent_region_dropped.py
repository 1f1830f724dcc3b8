from hekla.lang import drop, f32, index, kernel, region


@kernel
def program(n: index) -> f32:
    r = region(64)
    a = r.take(f32, n)
    found = a[0]
    drop(r)
    return found
