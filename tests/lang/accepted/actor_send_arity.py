from hekla.lang import View, i64, kernel
from hekla.lang.actors import Address, actor


@actor
class Counter:
    total: i64 = 0

    def add(self, n: i64):
        self.total += n


@kernel
def program(to: Address[Counter]):
    to.add.send(1)
