# expect: KernelTypeError 13:9 Point(...) lacks y
from hekla.lang import f32, kernel, MutView, struct


@struct
class Point:
    x: f32
    y: f32


@kernel
def program(y: MutView[f32, 1]):
    p = Point(1.0)
    y[0] = p.x
