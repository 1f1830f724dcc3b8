from hekla.lang import f32, i32, kernel, MutView


@kernel
def program(x: MutView[f32, 1], k: i32):
    x[0] = x[0] + f32(k)
