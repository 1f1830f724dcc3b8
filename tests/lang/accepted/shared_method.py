from hekla.lang import Atomic, View, i64, kernel


@kernel
def program(counts: View[Atomic[i64], 1]):
    counts[0].add(1)
