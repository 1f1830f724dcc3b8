# expect: DeadlockError 14:9 this waits for Mutex[i64] while one is held, and the order of the two was not shown
from hekla.lang import Mutex, View, i64, kernel, lock


@kernel
def add(m: View[Mutex[i64], 1], n: i64):
    with lock(m[0]) as total:
        total += n


@kernel
def program(m: View[Mutex[i64], 1]):
    with lock(m[0]) as total:
        add(m, total)
