# expect: DeadlockError 13:42 lock 0 of 'pairs' is waited for while lock 0 is held, and another thread may take them the other way round
from hekla.lang import Mutex, View, i64, kernel, lock, struct


@struct(layout="c")
class Pair:
    left: Mutex[i64]
    right: Mutex[i64]


@kernel
def program(pairs: View[Pair, 1]):
    with lock(pairs[0].right) as x, lock(pairs[0].left) as y:
        x += y
