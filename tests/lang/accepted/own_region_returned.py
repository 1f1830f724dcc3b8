from hekla.lang import f32, index, kernel, MutView, region


@kernel
def program(out: MutView[f32, 1], n: index) -> MutView[f32, 1]:
    r = region(1024)
    scratch = r.take(f32, n)
    out[0] = scratch[0]
    return out
