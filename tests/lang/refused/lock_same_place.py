# expect: DeadlockError 8:39 lock 0 of 'bank' may be waited for by the thread that holds it
from hekla.lang import Mutex, View, i64, index, kernel, lock


@kernel
def program(bank: View[Mutex[i64], 1], a: index, b: index, n: i64):
    if a <= b:
        with lock(bank[a]) as x, lock(bank[b]) as y:
            x -= n
            y += n
