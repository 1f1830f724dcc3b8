from hekla.lang import f32, kernel, MutView


@kernel
def f(a: f32, b: f32) -> f32:
    return a + b


@kernel
def program(x: MutView[f32, 1]):
    x[0] = f(1.0, 2.0)
