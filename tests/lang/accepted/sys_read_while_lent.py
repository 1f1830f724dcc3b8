from hekla.lang import Array, index, kernel, read, u8


@kernel
def program() -> index:
    a = Array[u8, 4](0)
    moved = read(0, a.mut())
    v = a.view()
    return moved + index(v[0])
