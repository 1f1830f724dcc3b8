from hekla.lang import MutView, index, kernel, read, u8


@kernel
def program(x: MutView[u8, 1]) -> index:
    return read(0, x)
