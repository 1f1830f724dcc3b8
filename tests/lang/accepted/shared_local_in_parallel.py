from hekla.lang import Atomic, index, kernel, i64, parallel


@kernel
def program(n: index) -> i64:
    total = Atomic[i64](0)
    shared = total.view()
    for i in parallel(n):
        shared[0].add(1)
    return total.load()
