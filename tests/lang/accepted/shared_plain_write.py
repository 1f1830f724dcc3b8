from hekla.lang import Atomic, MutView, i64, kernel


@kernel
def program(counts: MutView[Atomic[i64], 1]):
    counts[0].store(1)
