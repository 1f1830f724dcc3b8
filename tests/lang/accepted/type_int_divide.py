from hekla.lang import f32, i32, kernel, MutView


@kernel
def program(x: MutView[f32, 1], k: i32):
    a = k // 2
    x[0] = f32(a)
