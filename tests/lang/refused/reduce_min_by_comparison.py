# expect: KernelTypeError 9:19 'low' has no value until all iterations are done
from hekla.lang import View, f32, kernel, parallel


@kernel
def program(x: View[f32, 1]) -> f32:
    low = x[0]
    for i in parallel(len(x), reduce_min=low):
        if x[i] < low:
            low = x[i]
    return low
