# expect: KernelTypeError 7:12 256 does not fit u8 (0 to 255)
from hekla.lang import kernel, MutView, u8


@kernel
def program(x: MutView[u8, 1]):
    x[0] = 256
