from hekla.lang import f32, i32, kernel, MutView, TypeParam


T = TypeParam('T')


@kernel
def f() -> T:
    return T(1)


@kernel
def program(x: MutView[f32, 1]):
    x[0] = f32(f(T=i32))
