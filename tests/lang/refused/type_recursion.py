# expect: KernelTypeError 9:16 program calls itself
from hekla.lang import index, kernel


@kernel
def program(n: index) -> index:
    if n < 2:
        return 1
    return n * program(n - 1)
