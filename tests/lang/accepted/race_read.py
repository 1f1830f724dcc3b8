from hekla.lang import MutView, kernel, parallel, read, u8


@kernel
def program(x: MutView[u8, 2]):
    for i in parallel(4):
        read(0, x[i])
