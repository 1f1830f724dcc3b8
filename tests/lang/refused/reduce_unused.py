# expect: KernelTypeError 7:5 this loop does not change 'total'
from hekla.lang import View, f32, kernel, parallel


@kernel
def program(x: View[f32, 1]) -> f32:
    total = f32(0.0)
    for i in parallel(len(x), reduce_add=total):
        y = x[i]
    return total
