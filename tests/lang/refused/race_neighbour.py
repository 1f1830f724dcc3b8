# expect: RaceError 8:9 iterations 0 and 1 may write and read the same place of 'y'
from hekla.lang import f32, kernel, MutView, parallel, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    for i in parallel(len(y) - 1):
        y[i] = y[i + 1]
