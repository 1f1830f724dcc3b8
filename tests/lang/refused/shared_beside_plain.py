# expect: RaceError 15:9 iterations 0 and 1 may write the same place of 'stats'
from hekla.lang import Atomic, MutView, i64, kernel, parallel, struct


@struct
class Stats:
    hits: Atomic[i64]
    last: i64


@kernel
def program(stats: MutView[Stats, 1]):
    for i in parallel(8):
        stats[0].hits.add(1)
        stats[0].last = 1
