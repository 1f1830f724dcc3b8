# expect: UnsupportedPythonError 6:14 *x: a kernel has a fixed number of parameters
from hekla.lang import f32, kernel


@kernel
def program(*x: f32) -> f32:
    return 1.0
