from hekla.lang import Mutex, View, i64, kernel, lock

FIRST, SECOND = "first", "second"


@kernel
def program(a: View[Mutex[i64, FIRST], 1], b: View[Mutex[i64, SECOND], 1]):
    with lock(a[0]) as x, lock(b[0]) as y:
        x += y
