# expect: RaceError 9:9 iterations 1 and 2 may write the same place of 'y'
from hekla.lang import f32, kernel, MutView, parallel


@kernel
def program(y: MutView[f32, 1]):
    for i in parallel(8):
        v = y[0:16:2]
        v[i] = 1.0
        y[i] = 2.0
