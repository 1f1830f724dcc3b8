# expect: KernelTypeError 9:13 'total' is held outside of this parallel loop, by another thread
from hekla.lang import Mutex, View, i64, index, kernel, lock, parallel


@kernel
def program(m: View[Mutex[i64], 1], n: index):
    with lock(m[0]) as total:
        for i in parallel(n):
            total += 1
