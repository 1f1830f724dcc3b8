# expect: KernelTypeError 8:9 'i' counts a loop and cannot be assigned
from hekla.lang import f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    for i in range(n):
        i = 3
