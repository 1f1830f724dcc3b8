# expect: KernelTypeError 8:9 break and continue do not work in an unrolled loop
from hekla.lang import f32, kernel, MutView, unroll


@kernel
def program(x: MutView[f32, 1]):
    for i in unroll(range(4)):
        break
