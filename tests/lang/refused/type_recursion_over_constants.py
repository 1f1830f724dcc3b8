# expect: KernelTypeError 7:12 calls nest deeper than 100
from hekla.lang import Const, index, kernel


@kernel
def program(n: index, *, depth: Const = 0) -> index:
    return program(n, depth=depth + 1)
