from hekla.lang import Array, Mutex, View, f32, kernel, lock


@kernel
def program(m: View[Mutex[Array[f32, 4]], 1]) -> f32:
    with lock(m[0]) as parts:
        return parts[0]
