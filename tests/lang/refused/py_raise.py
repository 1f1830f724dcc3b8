# expect: UnsupportedPythonError 7:5 raise is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    raise ValueError
