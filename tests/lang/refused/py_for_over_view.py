# expect: UnsupportedPythonError 7:14 a loop over anything but range() is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    for v in x:
        x[0] = v
