from hekla.lang import Mutex, View, i64, kernel, lock


@kernel
def program(m: View[Mutex[i64], 1]):
    for i in range(len(m) - 1):
        with lock(m[i]) as x, lock(m[i + 1]) as y:
            x += y
