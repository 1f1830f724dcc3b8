# expect: UnsupportedPythonError 7:9 an f-string is not part of the language
from hekla.lang import f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    a = f"{x}"
