"""Programs that test_explain.py explains; their line numbers are part of the tests."""

from hekla.lang import (
    MutView,
    TypeParam,
    Vec,
    View,
    f32,
    f64,
    i32,
    kernel,
    load,
    parallel,
    store,
    struct,
    u8,
    vectorize,
)

T = TypeParam("T")


@struct
class Mixed:
    kind: u8
    x: f64
    flag: u8
    lanes: Vec[f32, 16]
    n: i32


@struct(layout="c")
class Kept:
    kind: u8
    x: f64


@kernel
def scale(a: T, x: MutView[T, 1]):
    for i in range(len(x)):
        x[i] = a * x[i]


@kernel(inline=True)
def lanes_of(x: Vec[f32, 4]) -> Vec[f32, 4]:
    return x + 1.0


@kernel
def mixed(x: MutView[f32, 1], y: MutView[f32, 1]):
    store(x, 0, load(x, 0, width=4) * 2.0)
    for i in range(len(y)):
        y[i] = 1.0 - y[i]


@kernel
def in_order(x: View[f32, 1]) -> f32:
    total = f32(0.0)
    for i in range(len(x)):
        total += x[i]
    return total


@vectorize(arch="native")
def rows(x: MutView[f32, 2], y: View[f32, 1]):
    for row in parallel(x.shape[0]):
        for i in range(len(y)):
            x[row, i] *= y[i]


@kernel
def trusted(x: MutView[f32, 1]):
    for i in parallel(len(x), unproved="a test"):
        x[i] = 0.0


@kernel
def racing(x: MutView[f32, 1]):
    for _ in parallel(len(x)):
        x[0] = 1.0
