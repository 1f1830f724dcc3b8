from hekla.lang import Array, f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = Array[f32, 4](0.0)
    x[0] = a[3]
