# expect: KernelTypeError 6:26 a region cannot be a result
from hekla.lang import index, kernel, region


@kernel
def program(n: index) -> region:
    r = region(n)
    return r
