# expect: RaceError 8:9 iterations 0 and 1 may write the same place of 'y'
from hekla.lang import f32, index, kernel, MutView, parallel


@kernel
def program(y: MutView[f32, 1], w: index):
    for i in parallel(len(y)):
        y[i * w] = 1.0
