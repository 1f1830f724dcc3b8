from hekla.lang import f64, kernel


@kernel
def program(x: f64) -> f64:
    return x
