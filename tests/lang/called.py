"""Kernels that test_c_callers.py builds for C."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,attr-defined,index,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

from hekla.lang import (
    Array,
    MutView,
    Vec,
    View,
    buffer,
    f16,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    index,
    kernel,
    strided,
    struct,
    u8,
    u16,
    u32,
    u64,
)


@struct
class Point:
    """A record whose fields move: the widest first."""

    kind: u8
    x: f64
    path: Array[i16, 3]
    lanes: Vec[f32, 4]


@kernel
def scale(a: f32, x: View[f32, 2], y: MutView[f32, 2]) -> i64:
    """y = a x, element by element; returns how many."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = a * x[i, j]
    return i64(x.shape[0] * x.shape[1])


@kernel
def move(points: MutView[Point, 1, strided], dt: f64):
    for i in range(len(points)):
        points[i].x += f64(points[i].kind) * dt
        points[i].path[1] += 1


@kernel
def small(a: i8, b: u8, c: i16, d: u16, e: bool, f: i32, g: u32) -> i8:
    total = i32(a) + i32(b) + i32(c) + i32(d) + f + i32(g)
    if e:
        total = 0 - total
    return i8(total)


@kernel
def is_large(x: u64, h: f16) -> bool:
    return x > 9223372036854775807 and f32(h) > 1.0


@kernel
def double(x: u32, int: u32) -> u32:
    return x * 2 + int


@kernel
def total(x: View[f32, 1], n: index) -> f32:
    """Sum what a buffer of n elements holds of x."""
    a = buffer(f32, n)
    s = f32(0.0)
    for i in range(n):
        a[i] = x[i]
        s += a[i]
    return s
