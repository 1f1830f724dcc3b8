# expect: KernelTypeError 8:5 'v' is View[u8, 1], which only reads
from hekla.lang import kernel, text


@kernel
def program():
    v = text("abc")
    v[0] = 1
