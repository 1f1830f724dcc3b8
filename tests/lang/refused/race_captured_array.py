# expect: RaceError 8:5 'a' is Array[f32, 8] from outside of this parallel loop
from hekla.lang import Array, f32, kernel, MutView, parallel, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    a = Array[f32, 8](0.0)
    for i in parallel(8):
        v = a.mut()
        v[0] = x[i]
    y[0] = a[0]
