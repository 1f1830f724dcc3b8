# expect: UnsupportedPythonError 12:9 lambda is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def f(a: f32) -> f32:
    return a


@kernel
def program(x: MutView[f32, 1]):
    f = lambda a: a
    x[0] = 1.0
