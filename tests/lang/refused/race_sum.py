# expect: KernelTypeError 9:9 's' lives outside of this parallel loop, and every iteration would assign it
from hekla.lang import f32, kernel, MutView, parallel, View


@kernel
def program(x: View[f32, 1], y: MutView[f32, 1]):
    s = 0.0
    for i in parallel(len(x)):
        s += x[i]
    y[0] = s
