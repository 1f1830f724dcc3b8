# expect: UnsupportedPythonError 8:5 del is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = 1.0
    del a
