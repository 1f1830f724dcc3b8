# expect: KernelTypeError 11:12 f is not a kernel
from hekla.lang import f32, kernel, MutView


def f(a):
    return a


@kernel
def program(x: MutView[f32, 1]):
    x[0] = f(x[0])
