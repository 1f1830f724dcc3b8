from hekla.lang import f32, kernel, MutView


@kernel
def f(x: MutView[f32, 1]):
    x[0] = 1.0


@kernel
def program(x: MutView[f32, 1]):
    f(x)
