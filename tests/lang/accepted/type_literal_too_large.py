from hekla.lang import kernel, MutView, u8


@kernel
def program(x: MutView[u8, 1]):
    x[0] = 255
