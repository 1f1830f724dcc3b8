# expect: RaceError 9:13 iterations 0 and 1 may write the same place of 'y'
from hekla.lang import f32, kernel, MutView, parallel, View


@kernel
def program(x: View[f32, 2], y: MutView[f32, 2]):
    for i in parallel(x.shape[0]):
        for j in range(x.shape[1]):
            y[j, j] = x[i, j]
