from hekla.lang import f32, f64, kernel, MutView


@kernel
def program(x: MutView[f32, 1], k: f64):
    x[0] = f32(k)
