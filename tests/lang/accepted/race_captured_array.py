from hekla.lang import Array, f32, kernel, MutView, parallel, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    a = Array[f32, 8](0.0)
    v = a.mut()
    for i in parallel(8):
        v[i] = x[i]
    y[0] = a[0]
