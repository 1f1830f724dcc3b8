# expect: UnsupportedPythonError 7:5 a nested function is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    def f():
        return 1
    x[0] = 1.0
