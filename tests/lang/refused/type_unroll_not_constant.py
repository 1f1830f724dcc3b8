# expect: KernelTypeError 7:27 a range outside of a for loop must be known at compile time
from hekla.lang import f32, index, kernel, MutView, unroll


@kernel
def program(x: MutView[f32, 1], n: index):
    for i in unroll(range(n)):
        x[i] = 0.0
