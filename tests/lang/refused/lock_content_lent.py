# expect: KernelTypeError 13:22 only a whole variable can be lent
from hekla.lang import Array, Mutex, View, f32, kernel, lock


@kernel
def first(x: View[f32, 1]) -> f32:
    return x[0]


@kernel
def program(m: View[Mutex[Array[f32, 4]], 1]) -> f32:
    with lock(m[0]) as parts:
        return first(parts.view())
