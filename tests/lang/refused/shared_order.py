# expect: KernelTypeError 7:12 order='release' is not one for this operation
from hekla.lang import Atomic, View, i64, kernel


@kernel
def program(counts: View[Atomic[i64], 1]) -> i64:
    return counts[0].load(order="release")
