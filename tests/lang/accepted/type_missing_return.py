from hekla.lang import f32, kernel


@kernel
def program(x: f32) -> f32:
    if x > 0.0:
        return x
    return 0.0
