# expect: UnsupportedPythonError 7:9 the walrus operator is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    if (a := x[0]) > 1.0:
        x[0] = a
