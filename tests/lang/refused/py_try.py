# expect: UnsupportedPythonError 7:5 try/except is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    try:
        x[0] = 1.0
    except ValueError:
        x[0] = 2.0
