from hekla.lang import Mutex, View, i64, index, kernel, lock


@kernel
def program(bank: View[Mutex[i64], 1], a: index, b: index, n: i64):
    low = min(a, b)
    high = max(a, b)
    if low != high:
        with lock(bank[low]) as x, lock(bank[high]) as y:
            x -= n
            y += n
