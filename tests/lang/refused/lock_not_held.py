# expect: KernelTypeError 7:12 Mutex[i64] has no field 'value'
from hekla.lang import Mutex, View, i64, kernel


@kernel
def program(m: View[Mutex[i64], 1]) -> i64:
    return m[0].value
