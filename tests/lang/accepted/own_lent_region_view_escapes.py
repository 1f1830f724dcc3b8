from hekla.lang import MutView, f32, index, kernel, region


@kernel
def scratch(r: region, n: index) -> MutView[f32, 1]:
    return r.take(f32, n)


@kernel
def program(r: region, n: index) -> MutView[f32, 1]:
    return scratch(r, n)
