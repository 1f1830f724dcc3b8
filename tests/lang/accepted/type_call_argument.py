from hekla.lang import f32, i32, kernel, MutView


@kernel
def f(a: f32) -> f32:
    return a


@kernel
def program(x: MutView[f32, 1], k: i32):
    x[0] = f(f32(k))
