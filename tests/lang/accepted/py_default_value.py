from hekla.lang import Const, f32, kernel


@kernel
def program(x: f32, *, k: Const = 2) -> f32:
    return x * k
