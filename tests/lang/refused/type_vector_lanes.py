# expect: KernelTypeError 7:26 a Vec has a power of two of lanes, at most 256, got 3
from hekla.lang import f32, kernel, load, MutView


@kernel
def program(x: MutView[f32, 1]):
    v = load(x, 0, width=3)
    x[0] = v[0]
