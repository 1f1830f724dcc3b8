# expect: KernelTypeError 7:12 what is stored must be f32, got f64
from hekla.lang import f32, f64, kernel, MutView


@kernel
def program(x: MutView[f32, 1], k: f64):
    x[0] = k
