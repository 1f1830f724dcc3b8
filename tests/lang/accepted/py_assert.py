from hekla.lang import f32, kernel, MutView, static_assert


@kernel
def program(x: MutView[f32, 1]):
    static_assert(1 + 1 == 2, 'sums')
    x[0] = 1.0
