# expect: KernelTypeError 8:42 reduce_add= takes a number or a Vec, got bool
from hekla.lang import View, f32, kernel, parallel


@kernel
def program(x: View[f32, 1]) -> f32:
    total = True
    for i in parallel(len(x), reduce_add=total):
        total += x[i]
    return 0.0
