from hekla.lang import Mutex, View, i64, kernel, lock, struct


@struct(layout="c")
class Pair:
    left: Mutex[i64]
    right: Mutex[i64]


@kernel
def program(pairs: View[Pair, 1]):
    with lock(pairs[0].left) as x, lock(pairs[0].right) as y:
        x += y
