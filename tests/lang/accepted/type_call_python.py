from hekla.lang import f32, kernel, MutView


@kernel
def f(a: f32) -> f32:
    return a


@kernel
def program(x: MutView[f32, 1]):
    x[0] = f(x[0])
