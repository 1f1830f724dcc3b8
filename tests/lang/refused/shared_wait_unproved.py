# expect: KernelTypeError 7:5 nothing shows that this wait() ends
from hekla.lang import Atomic, View, kernel, u32


@kernel
def program(flag: View[Atomic[u32], 1]):
    flag[0].wait(0)
