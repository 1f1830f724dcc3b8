# expect: KernelTypeError 16:12 even calls itself
from hekla.lang import index, kernel


@kernel
def even(n: index) -> index:
    if n == 0:
        return 1
    return odd(n - 1)


@kernel
def odd(n: index) -> index:
    if n == 0:
        return 0
    return even(n - 1)


@kernel
def program(n: index) -> index:
    return even(n)
