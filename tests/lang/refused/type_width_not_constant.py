# expect: KernelTypeError 10:26 width= must be known at compile time
from hekla.lang import f32, index, kernel, load, MutView


w = 8


@kernel
def program(x: MutView[f32, 1], n: index):
    v = load(x, 0, width=n)
    x[0] = v[0]
