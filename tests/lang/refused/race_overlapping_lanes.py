# expect: RaceError 8:9 iterations 0 and 1 may write the same place of 'y'
from hekla.lang import f32, kernel, load, MutView, parallel, store, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    for i in parallel(len(y) // 8):
        store(y, 8 * i, load(x, 8 * i, width=16))
