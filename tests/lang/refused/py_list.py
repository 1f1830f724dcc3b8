# expect: UnsupportedPythonError 7:9 a list is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = [1, 2]
    x[0] = a[0]
