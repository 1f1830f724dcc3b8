# expect: UnsupportedPythonError 7:5 match is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    match x[0]:
        case 1.0:
            x[0] = 2.0
