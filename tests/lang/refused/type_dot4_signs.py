# expect: KernelTypeError 8:43 dot4() takes Vec[i8, 16] here, got Vec[u8, 16]
from hekla.lang import dot4, i32, i8, kernel, load, MutView, store, u8, Vec, View


@kernel
def program(x: MutView[i32, 1], a: View[i8, 1], b: View[u8, 1]):
    acc = Vec[i32, 4](0)
    acc = dot4(acc, load(a, 0, width=16), load(b, 0, width=16))
    store(x, 0, acc)
