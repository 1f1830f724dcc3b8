# expect: KernelTypeError 8:14 load() needs neighbours in memory, got View[f32, 1, strided]
from hekla.lang import f32, kernel, load, MutView, store, View


@kernel
def program(x: View[f32, 2], y: MutView[f32, 1]):
    c = x[:, 0]
    v = load(c, 0, width=4)
    store(y, 0, v)
