# expect: DeadlockError 7:35 lock 0 of 'bank' is waited for while lock 1 is held, and another thread may take them the other way round
from hekla.lang import Mutex, View, i64, index, kernel, lock


@kernel
def program(bank: View[Mutex[i64], 1], a: index, b: index, n: i64):
    with lock(bank[a]) as x, lock(bank[b]) as y:
        x -= n
        y += n
