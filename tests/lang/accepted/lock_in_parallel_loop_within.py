from hekla.lang import Mutex, View, i64, index, kernel, lock, parallel


@kernel
def program(m: View[Mutex[i64], 1], n: index):
    for i in parallel(n):
        with lock(m[0]) as total:
            total += 1
