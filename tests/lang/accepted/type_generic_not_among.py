from hekla.lang import f32, f64, kernel, MutView, TypeParam


T = TypeParam('T', (f32, f64))


@kernel
def f(x: MutView[T, 1]):
    x[0] = 1.0


@kernel
def program(x: MutView[f64, 1]):
    f(x)
