# expect: KernelTypeError 7:20 read() writes what it reads, and View[u8, 1] only reads
from hekla.lang import View, index, kernel, read, u8


@kernel
def program(x: View[u8, 1]) -> index:
    return read(0, x)
