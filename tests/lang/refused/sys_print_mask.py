# expect: KernelTypeError 7:11 print() takes texts and numbers, got Vec[f32, 4]
from hekla.lang import Vec, f32, kernel


@kernel
def program(x: Vec[f32, 4]):
    print(x)
