# expect: RaceError 8:17 iterations 0 and 1 may write the same place of 'x'
from hekla.lang import MutView, kernel, parallel, read, u8


@kernel
def program(x: MutView[u8, 1]):
    for i in parallel(4):
        read(0, x)
