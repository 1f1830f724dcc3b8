# expect: KernelTypeError 8:9 the left side of `and` must be bool, got a mask
from hekla.lang import f32, kernel, load, MutView, store


@kernel
def program(x: MutView[f32, 1]):
    v = load(x, 0, width=4)
    m = v > 0.0 and v < 1.0
    store(x, 0, v, mask=m)
