# expect: RaceError 8:5 'total' is Atomic[i64] from outside of this parallel loop
from hekla.lang import Atomic, index, kernel, i64, parallel


@kernel
def program(n: index) -> i64:
    total = Atomic[i64](0)
    for i in parallel(n):
        total.add(1)
    return total.load()
