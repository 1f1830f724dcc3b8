from hekla.lang import Atomic, View, kernel, u32


@kernel
def program(flag: View[Atomic[u32], 1]):
    flag[0].wait(0, unproved="the other thread sets it before it ends")
