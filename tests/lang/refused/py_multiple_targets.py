# expect: UnsupportedPythonError 7:5 a = b = value is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = b = 1.0
    x[0] = a
