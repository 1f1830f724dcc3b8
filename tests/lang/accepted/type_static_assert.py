from hekla.lang import f32, kernel, MutView, static_assert


w = 8


@kernel
def program(x: MutView[f32, 1]):
    static_assert(w % 8 == 0, 'w is a multiple of 8')
    x[0] = 1.0
