from hekla.lang import Mutex, View, i64, kernel, lock
from hekla.lang.actors import Address, actor


@actor
class Teller:
    bank: View[Mutex[i64], 1]

    def add(self, n: i64):
        with lock(self.bank[0]) as total:
            total += n


@kernel
def program(to: Address[Teller], bank: View[Mutex[i64], 1]):
    with lock(bank[0]) as total:
        if to.add.try_send(1):
            total += 1
