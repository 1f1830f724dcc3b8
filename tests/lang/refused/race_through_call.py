# expect: RaceError 13:21 iterations 0 and 1 may write the same place of 'y'
from hekla.lang import f32, kernel, MutView, parallel, View


@kernel
def first(a: View[f32, 1], b: MutView[f32, 1]):
    b[0] = a[0]


@kernel
def program(x: View[f32, 2], y: MutView[f32, 2]):
    for i in parallel(x.shape[0]):
        first(x[i], y[0])
