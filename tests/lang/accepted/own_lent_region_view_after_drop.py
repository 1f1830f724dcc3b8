from hekla.lang import MutView, drop, f32, index, kernel, region


@kernel
def scratch(r: region, n: index) -> MutView[f32, 1]:
    return r.take(f32, n)


@kernel
def program(n: index) -> f32:
    r = region(1024)
    a = scratch(r, n)
    found = a[0]
    drop(r)
    return found
