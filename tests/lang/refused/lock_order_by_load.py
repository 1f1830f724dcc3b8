# expect: DeadlockError 7:42 lock 0 of 'bank' is waited for while lock 1 is held, and another thread may take them the other way round
from hekla.lang import Mutex, View, i64, index, kernel, lock


@kernel
def program(bank: View[Mutex[i64], 1], where: View[index, 1]):
    with lock(bank[where[0]]) as x, lock(bank[where[1]]) as y:
        x += y
