from hekla.lang import f32, kernel, MutView, struct, View


@struct
class Point:
    x: f32
    y: f32


@kernel
def program(p: View[Point, 1], y: MutView[f32, 1]):
    y[0] = p[0].y
