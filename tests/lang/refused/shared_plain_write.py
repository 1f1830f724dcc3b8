# expect: KernelTypeError 7:5 Atomic[i64] keeps its place, and is not assigned
from hekla.lang import Atomic, MutView, i64, kernel


@kernel
def program(counts: MutView[Atomic[i64], 1]):
    counts[0] = 1
