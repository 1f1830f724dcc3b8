# expect: KernelTypeError 9:12 'a' has no value on some way to here
from hekla.lang import f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    for i in range(n):
        a = x[i]
    x[0] = a
