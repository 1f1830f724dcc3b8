# expect: DeadlockError 8:40 lock 0 of 'm' is waited for while lock 1 is held, and another thread may take them the other way round
from hekla.lang import Mutex, View, i64, kernel, lock


@kernel
def program(m: View[Mutex[i64], 1]):
    for i in range(len(m) - 1):
        with lock(m[i + 1]) as x, lock(m[i]) as y:
            x += y
