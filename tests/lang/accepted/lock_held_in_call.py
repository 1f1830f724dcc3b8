from hekla.lang import Mutex, View, i64, kernel, lock


@kernel
def add(m: View[Mutex[i64], 1], n: i64):
    with lock(m[0]) as total:
        total += n


@kernel
def program(m: View[Mutex[i64], 1]):
    n = i64(0)
    with lock(m[0]) as total:
        n = total
    add(m, n)
