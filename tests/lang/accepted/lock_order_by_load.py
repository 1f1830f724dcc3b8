from hekla.lang import Mutex, View, i64, index, kernel, lock


@kernel
def program(bank: View[Mutex[i64], 1], where: View[index, 1]):
    with lock(bank[where[0]]) as x, lock(bank[where[1]], unproved="where is sorted and without doubles") as y:
        x += y
