from hekla.lang import Mutex, View, i64, kernel, lock


@kernel
def program(m: View[Mutex[i64], 1]):
    with lock(m[0]) as value:
        value += 1
    with lock(m[0]) as value:
        value += 1
