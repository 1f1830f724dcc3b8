from hekla.lang import Atomic, View, i64, kernel, struct


@struct
class Stats:
    hits: Atomic[i64]


@kernel
def program(stats: View[Stats, 1]):
    stats[0].hits.add(1)
