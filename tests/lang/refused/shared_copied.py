# expect: KernelTypeError 12:12 Stats is shared in its place, and not copied
from hekla.lang import Atomic, View, i64, kernel, struct


@struct
class Stats:
    hits: Atomic[i64]


@kernel
def program(stats: View[Stats, 1]):
    copy = stats[0]
    copy.hits.add(1)
