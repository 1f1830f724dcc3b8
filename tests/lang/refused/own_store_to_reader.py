# expect: KernelTypeError 7:11 store() writes, and View[f32, 1] only reads
from hekla.lang import f32, kernel, load, MutView, store, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    store(x, 0, load(y, 0, width=4))
