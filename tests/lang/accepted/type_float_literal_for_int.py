from hekla.lang import i32, kernel, MutView


@kernel
def program(x: MutView[i32, 1]):
    x[0] = 1
