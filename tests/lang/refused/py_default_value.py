# expect: UnsupportedPythonError 6:22 default values belong to compile-time parameters only
from hekla.lang import f32, kernel


@kernel
def program(x: f32 = 1.0) -> f32:
    return x
