# expect: KernelTypeError 7:15 lock() takes a Mutex in its place, got i64
from hekla.lang import View, i64, kernel, lock


@kernel
def program(m: View[i64, 1]):
    with lock(m[0]) as total:
        total += 1
