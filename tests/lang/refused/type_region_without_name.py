# expect: KernelTypeError 7:9 only a region in a variable hands out memory
from hekla.lang import f32, index, kernel, region


@kernel
def program(n: index) -> f32:
    a = region(1024).take(f32, n)
    return a[0]
