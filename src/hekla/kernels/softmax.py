"""Softmax of each row.

Shapes:  x (rows, n) f32 -> y (rows, n) f32; each row of y sums to 1. A row of length 0 stays empty.
Errors:  relative 2e-6.
Source:  the largest element is subtracted first, so that nothing overflows.
"""

import math

import numpy as np

from hekla.kernels.sizes import around, normal
from hekla.lang import MutView, Vec, View, f32, i32, iota, kernel, load, reduce_add, reduce_max, select, store
from hekla.lang.math import exp
from hekla.lang.sweep import Sweep

LANES = 16
LOWEST = -math.inf


def reference_softmax(x, y):
    """Say it in NumPy."""
    v = x.astype(np.float64)
    e = np.exp(v - v.max(axis=1, keepdims=True, initial=-np.inf))
    y[:] = e / e.sum(axis=1, keepdims=True)


@kernel
def softmax_row(x: View[f32, 1], y: MutView[f32, 1]):
    n = len(x)
    whole = n - n % LANES
    rest = n - whole
    on = iota(i32, width=LANES) < i32(rest)
    largest = Vec[f32, LANES](LOWEST)
    for i in range(0, whole, LANES):
        largest = max(largest, load(x, i, width=LANES))
    if rest > 0:
        largest = max(largest, select(on, load(x, whole, width=LANES, mask=on), LOWEST))
    top = reduce_max(largest)
    total = Vec[f32, LANES](0.0)
    for i in range(0, whole, LANES):
        e = exp(load(x, i, width=LANES) - top)
        total += e
        store(y, i, e)
    if rest > 0:
        last = select(on, exp(load(x, whole, width=LANES, mask=on) - top), 0.0)
        total += last
        store(y, whole, last, mask=on)
    scale = 1.0 / reduce_add(total)
    for i in range(0, whole, LANES):
        store(y, i, load(y, i, width=LANES) * scale)
    if rest > 0:
        store(y, whole, load(y, whole, width=LANES, mask=on) * scale, mask=on)


@kernel
def softmax(x: View[f32, 2], y: MutView[f32, 2]):
    for r in range(x.shape[0]):
        softmax_row(x[r], y[r])


def cases(rng):
    """Rows of awkward length, and numbers whose exponentials overflow."""
    shapes = [(0, 4), *((2, n) for n in around(LANES) if n)]
    return [(normal(rng, s) * 40, np.zeros(s, np.float32)) for s in shapes]


SWEEPS = (Sweep(softmax, reference_softmax, cases, 3e-6, 1e-30),)
