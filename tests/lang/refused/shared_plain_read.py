# expect: KernelTypeError 7:12 + does not take the constant 1 and Atomic[i64]
from hekla.lang import Atomic, View, i64, kernel


@kernel
def program(counts: View[Atomic[i64], 1]) -> i64:
    return counts[0] + 1
