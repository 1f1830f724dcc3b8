# expect: OwnershipError 9:13 'a' is written while 'v', which reads the same memory, is still in use
from hekla.lang import Array, index, kernel, read, u8


@kernel
def program() -> index:
    a = Array[u8, 4](0)
    v = a.view()
    moved = read(0, a.mut())
    return moved + index(v[0])
