# expect: UnsupportedPythonError 10:9 else on a loop is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    for i in range(3):
        x[i] = 1.0
    else:
        x[0] = 2.0
