from hekla.lang import f32, i32, kernel, MutView


@kernel
def program(x: MutView[f32, 1], k: i32):
    if k != 0:
        x[0] = 1.0
