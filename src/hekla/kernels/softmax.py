"""Softmax of each row.

Shapes:  x (rows, n) f32 -> y (rows, n) f32; each row of y sums to 1. A row of length 0 stays empty.
Errors:  relative 2e-6.
Source:  the largest element is subtracted first, so that nothing overflows.
"""

import math

import numpy as np

from hekla.kernels.sizes import around, normal
from hekla.lang import (
    MutView,
    TypeParam,
    Vec,
    View,
    f32,
    i32,
    iota,
    kernel,
    load,
    reduce_add,
    reduce_max,
    select,
    store,
)
from hekla.lang.math import exp_within
from hekla.lang.sweep import Sweep

LANES = 16
WIDE = 4 * LANES  # four registers at once: one polynomial is a chain of waits, four side by side fill them
V = TypeParam("V")  # f32 or Vec[f32, N]
LOWEST = -math.inf


def reference_softmax(x, y):
    """Say it in NumPy."""
    v = x.astype(np.float64)
    e = np.exp(v - v.max(axis=1, keepdims=True, initial=-np.inf))
    y[:] = e / e.sum(axis=1, keepdims=True)


@kernel(inline=True)
def exp_below(x: V) -> V:
    """Return e to the x for x up to 0."""
    return select(x < -87.33654, 0.0, exp_within(x))


@kernel(inline=True)
def softmax_row(x: View[f32, 1], y: MutView[f32, 1]):
    n = len(x)
    whole = n - n % WIDE
    largest = Vec[f32, WIDE](LOWEST)
    rest = Vec[f32, LANES](LOWEST)
    for i in range(0, whole, WIDE):
        largest = max(largest, load(x, i, width=WIDE))
    for i in range(whole, n, LANES):
        on = iota(i32, width=LANES) < i32(min(LANES, n - i))
        rest = max(rest, select(on, load(x, i, width=LANES, mask=on), LOWEST))
    top = max(reduce_max(largest), reduce_max(rest))
    total = Vec[f32, WIDE](0.0)
    rest = Vec[f32, LANES](0.0)
    for i in range(0, whole, WIDE):
        e = exp_below(load(x, i, width=WIDE) - top)
        total += e
        store(y, i, e)
    for i in range(whole, n, LANES):
        on = iota(i32, width=LANES) < i32(min(LANES, n - i))
        last = select(on, exp_below(load(x, i, width=LANES, mask=on) - top), 0.0)
        rest += last
        store(y, i, last, mask=on)
    scale = 1.0 / (reduce_add(total) + reduce_add(rest))
    for i in range(0, whole, WIDE):
        store(y, i, load(y, i, width=WIDE) * scale)
    for i in range(whole, n, LANES):
        store(y, i, load(y, i, width=LANES, count=n - i) * scale, count=n - i)


@kernel
def softmax(x: View[f32, 2], y: MutView[f32, 2]):
    for r in range(x.shape[0]):
        softmax_row(x[r], y[r])


def cases(rng):
    """Rows of awkward length, and numbers whose exponentials overflow."""
    shapes = [(0, 4), *((2, n) for n in around(LANES, WIDE) if n)]
    return [(normal(rng, s) * 40, np.zeros(s, np.float32)) for s in shapes]


SWEEPS = (Sweep(softmax, reference_softmax, cases, 3e-6, 1e-30),)
