# expect: DeadlockError 7:32 this waits for Mutex[i64] while one is held, and the order of the two was not shown
from hekla.lang import Mutex, View, i64, kernel, lock


@kernel
def program(a: View[Mutex[i64], 1], b: View[Mutex[i64], 1]):
    with lock(a[0]) as x, lock(b[0]) as y:
        x += y
