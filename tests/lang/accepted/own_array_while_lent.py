from hekla.lang import Array, f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = Array[f32, 8](0.0)
    v = a.mut()
    v[1] = 2.0
    a[0] = 1.0
    x[0] = a[0]
