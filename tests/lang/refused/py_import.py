# expect: UnsupportedPythonError 9:5 import is not part of the language
import math

from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    import math
    x[0] = math.pi
