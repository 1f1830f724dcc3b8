# expect: KernelTypeError 7:5 Atomic[i64] has no method 'increment'
from hekla.lang import Atomic, View, i64, kernel


@kernel
def program(counts: View[Atomic[i64], 1]):
    counts[0].increment(1)
