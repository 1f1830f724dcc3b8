# expect: DeadlockError 15:32 this waits for Mutex[i64, "a"] while Mutex[i64, "b"] is held, and elsewhere it is the other way round
from hekla.lang import Mutex, View, i64, kernel, lock

A, B = "a", "b"


@kernel
def forth(a: View[Mutex[i64, A], 1], b: View[Mutex[i64, B], 1]):
    with lock(a[0]) as x, lock(b[0]) as y:
        x += y


@kernel
def back(a: View[Mutex[i64, A], 1], b: View[Mutex[i64, B], 1]):
    with lock(b[0]) as x, lock(a[0]) as y:
        x += y


@kernel
def program(a: View[Mutex[i64, A], 1], b: View[Mutex[i64, B], 1]):
    forth(a, b)
    back(a, b)
