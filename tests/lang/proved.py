"""Programs whose proofs test_explain.py shows."""

from hekla.lang import Atomic, Mutex, View, f32, i64, index, kernel, lock, parallel, u32
from hekla.lang.actors import Address, actor


@kernel
def transfer(bank: View[Mutex[i64], 1], a: index, b: index):
    if a < b:
        with lock(bank[a]) as x, lock(bank[b]) as y:
            x -= 1
            y += 1


@kernel
def asleep(flag: View[Atomic[u32], 1]):
    flag[0].wait(0, unproved="a test")


@kernel
def added(x: View[f32, 1]) -> f32:
    total = f32(0.0)
    for i in parallel(len(x), reduce_add=total):
        total += x[i]
    return total


@actor
class Receiver:
    total: i64 = 0

    def take(self, n: i64):
        self.total += n


@actor
class Sender:
    to: Address[Receiver]

    def go(self, n: i64):
        self.to.take.send(n)
