# expect: RaceError 9:13 iterations 1 and 2 may write the same place of 'y'
from hekla.lang import f32, kernel, MutView, parallel, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    for i in parallel(len(y)):
        if i > 0:
            y[0] = x[i]
