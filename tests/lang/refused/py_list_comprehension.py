# expect: UnsupportedPythonError 7:9 a list comprehension is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = [i for i in range(3)]
