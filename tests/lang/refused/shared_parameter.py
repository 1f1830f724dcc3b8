# expect: KernelTypeError 6:13 Atomic[i64] cannot be a parameter
from hekla.lang import Atomic, i64, kernel


@kernel
def program(count: Atomic[i64]):
    count.add(1)
