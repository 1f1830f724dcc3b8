# expect: KernelTypeError 7:46 lane 4 is not one of the 4
from hekla.lang import f32, kernel, load, MutView, shuffle


@kernel
def program(x: MutView[f32, 1]):
    v = shuffle(load(x, 0, width=4), indices=(0, 1, 2, 4))
    x[0] = v[0]
