# expect: UnsupportedPythonError 7:5 with is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    with x:
        x[0] = 1.0
