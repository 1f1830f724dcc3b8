"""Dot product, squared Euclidean distance and cosine similarity of vectors, one pair or one query to many rows.

Shapes:  pair: x (n,), y (n,) -> f32;  many: query (n,), rows (m, n) -> out (m,) f32.
Types:   f32 x f32 (accumulated in f32, 64 lanes), i8 x i8 (accumulated in i32, exactly, n up to 2^15).
Layout:  rows are C-contiguous within a row; any distance between rows.
Cosine:  of a zero vector with anything is 0.
Source:  definition.
"""

import numpy as np

from hekla.kernels.sizes import around, normal, pairs
from hekla.lang import (
    Array,
    Function,
    MutView,
    Vec,
    View,
    f32,
    fma,
    i8,
    i16,
    i32,
    index,
    kernel,
    load,
    reduce_add,
    sqrt,
    unroll,
)
from hekla.lang.sweep import Sweep

LANES, PARTS = 16, 4  # four accumulators hide the latency of fma
STEP = LANES * PARTS


def reference_dot(x, y):
    """Say it in NumPy."""
    return np.dot(x.astype(np.float64), y.astype(np.float64))


def reference_squared_l2(x, y):
    """Say it in NumPy."""
    return ((x.astype(np.float64) - y.astype(np.float64)) ** 2).sum()


def reference_cosine(x, y):
    """Say it in NumPy."""
    norms = np.sqrt(reference_dot(x, x) * reference_dot(y, y))
    return reference_dot(x, y) / norms if norms > 0 else 0.0


def reference_many(pair):
    """Return the one-to-many form of a pairwise reference."""

    def reference(query, rows, out):
        out[:] = [pair(query, row) for row in rows]

    return reference


@kernel(inline=True)
def multiply_add(a: Vec[f32, 16], b: Vec[f32, 16], total: Vec[f32, 16]) -> Vec[f32, 16]:
    return fma(a, b, total)


@kernel(inline=True)
def square_add(a: Vec[f32, 16], b: Vec[f32, 16], total: Vec[f32, 16]) -> Vec[f32, 16]:
    d = a - b
    return fma(d, d, total)


@kernel(inline=True)
def accumulate(x: View[f32, 1], y: View[f32, 1], *, f: Function) -> f32:
    n = len(x)
    totals = Array[Vec[f32, LANES], PARTS](0.0)
    whole = n - n % STEP
    for i in range(0, whole, STEP):
        for p in unroll(range(PARTS)):
            totals[p] = f(load(x, i + p * LANES, width=LANES), load(y, i + p * LANES, width=LANES), totals[p])
    for i in range(whole, n, LANES):
        totals[0] = f(load(x, i, width=LANES, count=n - i), load(y, i, width=LANES, count=n - i), totals[0])
    return reduce_add((totals[0] + totals[1]) + (totals[2] + totals[3]))


@kernel
def dot(x: View[f32, 1], y: View[f32, 1]) -> f32:
    return accumulate(x, y, f=multiply_add)


@kernel
def squared_l2(x: View[f32, 1], y: View[f32, 1]) -> f32:
    return accumulate(x, y, f=square_add)


@kernel
def cosine(x: View[f32, 1], y: View[f32, 1]) -> f32:
    n = len(x)
    totals = Array[Vec[f32, LANES], 6](0.0)
    whole = n - n % (2 * LANES)
    for i in range(0, whole, 2 * LANES):
        for p in unroll(range(2)):
            a = load(x, i + p * LANES, width=LANES)
            b = load(y, i + p * LANES, width=LANES)
            totals[p] = fma(a, b, totals[p])
            totals[2 + p] = fma(a, a, totals[2 + p])
            totals[4 + p] = fma(b, b, totals[4 + p])
    for i in range(whole, n, LANES):
        a = load(x, i, width=LANES, count=n - i)
        b = load(y, i, width=LANES, count=n - i)
        totals[0] = fma(a, b, totals[0])
        totals[2] = fma(a, a, totals[2])
        totals[4] = fma(b, b, totals[4])
    norms = sqrt(reduce_add(totals[2] + totals[3])) * sqrt(reduce_add(totals[4] + totals[5]))
    if norms > 0.0:
        return reduce_add(totals[0] + totals[1]) / norms
    return 0.0


@kernel(inline=True)
def wide(x: View[i8, 1], i: index, n: index) -> Vec[i32, 32]:
    return i32(load(x, i, width=32, count=n - i))


@kernel
def dot_i8(x: View[i8, 1], y: View[i8, 1]) -> f32:
    n = len(x)
    total = Vec[i32, 32](0)
    for i in range(0, n, 32):
        total += wide(x, i, n) * wide(y, i, n)
    return f32(reduce_add(total))


@kernel
def squared_l2_i8(x: View[i8, 1], y: View[i8, 1]) -> f32:
    n = len(x)
    total = Vec[i32, 32](0)
    for i in range(0, n, 32):
        d = i16(load(x, i, width=32, count=n - i)) - i16(load(y, i, width=32, count=n - i))
        total += i32(d) * i32(d)
    return f32(reduce_add(total))


@kernel
def cosine_i8(x: View[i8, 1], y: View[i8, 1]) -> f32:
    n = len(x)
    xy = Vec[i32, 32](0)
    xx = Vec[i32, 32](0)
    yy = Vec[i32, 32](0)
    for i in range(0, n, 32):
        a = wide(x, i, n)
        b = wide(y, i, n)
        xy += a * b
        xx += a * a
        yy += b * b
    norms = sqrt(f32(reduce_add(xx))) * sqrt(f32(reduce_add(yy)))
    if norms > 0.0:
        return f32(reduce_add(xy)) / norms
    return 0.0


@kernel
def dot_many(query: View[f32, 1], rows: View[f32, 2], out: MutView[f32, 1]):
    for r in range(len(out)):
        out[r] = dot(query, rows[r])


@kernel
def squared_l2_many(query: View[f32, 1], rows: View[f32, 2], out: MutView[f32, 1]):
    for r in range(len(out)):
        out[r] = squared_l2(query, rows[r])


@kernel
def cosine_many(query: View[f32, 1], rows: View[f32, 2], out: MutView[f32, 1]):
    for r in range(len(out)):
        out[r] = cosine(query, rows[r])


def byte_cases(rng):
    """Awkward lengths, and the longest vectors of the largest differences: sums just under 2^31."""
    low, high = np.full(1 << 15, -128, np.int8), np.full(1 << 15, 127, np.int8)
    return [*pairs(rng, around(32), np.int8), (low, high)]


def many_cases(rng):
    """Rows of awkward length, more and fewer than a cache line of results."""
    return [(normal(rng, (n,)), normal(rng, (m, n)), np.zeros(m, np.float32)) for m, n in ((0, 5), (1, 64), (17, 100))]


SWEEPS = (
    *(
        Sweep(k, r, lambda rng: pairs(rng, around(LANES, STEP), np.float32), 1e-4, 1e-4)
        for k, r in ((dot, reference_dot), (squared_l2, reference_squared_l2), (cosine, reference_cosine))
    ),
    *(
        Sweep(k, r, byte_cases, 1e-6, 1e-6)
        for k, r in (
            (dot_i8, reference_dot),
            (squared_l2_i8, reference_squared_l2),
            (cosine_i8, reference_cosine),
        )
    ),
    Sweep(dot_many, reference_many(reference_dot), many_cases, 1e-4, 1e-4),
    Sweep(squared_l2_many, reference_many(reference_squared_l2), many_cases, 1e-4, 1e-4),
    Sweep(cosine_many, reference_many(reference_cosine), many_cases, 1e-4, 1e-4),
)
