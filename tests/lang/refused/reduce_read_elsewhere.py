# expect: KernelTypeError 9:12 'total' has no value until all iterations are done
from hekla.lang import View, f32, kernel, parallel


@kernel
def program(x: View[f32, 1]) -> f32:
    total = f32(0.0)
    for i in parallel(len(x), reduce_add=total):
        if total < 10.0:
            total += x[i]
    return total
