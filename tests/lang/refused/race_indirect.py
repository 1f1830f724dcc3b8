# expect: RaceError 8:9 iterations 0 and 1 may write the same place of 'y'
from hekla.lang import f32, i32, kernel, MutView, parallel, View


@kernel
def program(x: View[i32, 1], y: MutView[f32, 1]):
    for i in parallel(len(x)):
        y[x[i]] = 1.0
