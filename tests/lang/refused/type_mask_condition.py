# expect: KernelTypeError 8:8 a condition must be bool, got a mask
from hekla.lang import f32, kernel, load, MutView


@kernel
def program(x: MutView[f32, 1]):
    v = load(x, 0, width=4)
    if v > 0.0:
        x[0] = 1.0
