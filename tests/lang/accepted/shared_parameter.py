from hekla.lang import Atomic, View, i64, kernel


@kernel
def program(count: View[Atomic[i64], 1]):
    count[0].add(1)
