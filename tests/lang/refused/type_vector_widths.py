# expect: KernelTypeError 7:9 + needs two values of one type, got Vec[f32, 4] and Vec[f32, 8]
from hekla.lang import f32, kernel, load, MutView


@kernel
def program(x: MutView[f32, 1]):
    v = load(x, 0, width=4) + load(x, 0, width=8)
    x[0] = v[0]
