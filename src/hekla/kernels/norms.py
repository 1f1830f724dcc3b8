"""Layer norm and RMS norm of each row.

Shapes:  x (rows, n) f32, weight (n,) f32, bias (n,) f32 (layer norm), epsilon f32 -> y (rows, n) f32.
Errors:  relative 1e-5 of the row's largest result; sums in f32, 16 lanes. Variance is the mean of squared
         differences from the mean, in a second pass, which loses nothing to cancellation.
Source:  Ba et al., arXiv:1607.06450; Zhang and Sennrich, arXiv:1910.07467.
"""

import numpy as np

from hekla.kernels.sizes import around, normal
from hekla.lang import MutView, Vec, View, f32, fma, i32, iota, kernel, load, reduce_add, select, sqrt, store
from hekla.lang.sweep import Sweep

LANES = 16
WIDE = 4 * LANES  # four sums side by side hide the latency of an addition


def reference_layer_norm(x, weight, bias, epsilon, y):
    """Say it in NumPy."""
    v = x.astype(np.float64)
    centred = v - v.mean(axis=1, keepdims=True)
    y[:] = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + epsilon) * weight + bias


def reference_rms_norm(x, weight, epsilon, y):
    """Say it in NumPy."""
    v = x.astype(np.float64)
    y[:] = v / np.sqrt((v**2).mean(axis=1, keepdims=True) + epsilon) * weight


@kernel(inline=True)
def layer_norm_row(x: View[f32, 1], weight: View[f32, 1], bias: View[f32, 1], epsilon: f32, y: MutView[f32, 1]):
    n = len(x)
    whole = n - n % WIDE
    total = Vec[f32, WIDE](0.0)
    rest = Vec[f32, LANES](0.0)
    for i in range(0, whole, WIDE):
        total += load(x, i, width=WIDE)
    for i in range(whole, n, LANES):
        rest += load(x, i, width=LANES, count=n - i)
    mean = (reduce_add(total) + reduce_add(rest)) / f32(n)
    squares = Vec[f32, WIDE](0.0)
    rest = Vec[f32, LANES](0.0)
    for i in range(0, whole, WIDE):
        d = load(x, i, width=WIDE) - mean
        squares = fma(d, d, squares)
    for i in range(whole, n, LANES):
        on = iota(i32, width=LANES) < i32(min(LANES, n - i))
        e = select(on, load(x, i, width=LANES, mask=on) - mean, 0.0)
        rest = fma(e, e, rest)
    scale = 1.0 / sqrt((reduce_add(squares) + reduce_add(rest)) / f32(n) + epsilon)
    for i in range(0, whole, WIDE):
        v = (load(x, i, width=WIDE) - mean) * scale
        store(y, i, fma(v, load(weight, i, width=WIDE), load(bias, i, width=WIDE)))
    for i in range(whole, n, LANES):
        left = n - i
        u = (load(x, i, width=LANES, count=left) - mean) * scale
        u = fma(u, load(weight, i, width=LANES, count=left), load(bias, i, width=LANES, count=left))
        store(y, i, u, count=left)


@kernel
def layer_norm(x: View[f32, 2], weight: View[f32, 1], bias: View[f32, 1], epsilon: f32, y: MutView[f32, 2]):
    for r in range(x.shape[0]):
        layer_norm_row(x[r], weight, bias, epsilon, y[r])


@kernel(inline=True)
def rms_norm_row(x: View[f32, 1], weight: View[f32, 1], epsilon: f32, y: MutView[f32, 1]):
    n = len(x)
    whole = n - n % WIDE
    squares = Vec[f32, WIDE](0.0)
    rest = Vec[f32, LANES](0.0)
    for i in range(0, whole, WIDE):
        v = load(x, i, width=WIDE)
        squares = fma(v, v, squares)
    for i in range(whole, n, LANES):
        u = load(x, i, width=LANES, count=n - i)
        rest = fma(u, u, rest)
    scale = 1.0 / sqrt((reduce_add(squares) + reduce_add(rest)) / f32(n) + epsilon)
    for i in range(0, whole, WIDE):
        store(y, i, load(x, i, width=WIDE) * scale * load(weight, i, width=WIDE))
    for i in range(whole, n, LANES):
        left = n - i
        u = load(x, i, width=LANES, count=left) * scale * load(weight, i, width=LANES, count=left)
        store(y, i, u, count=left)


@kernel
def rms_norm(x: View[f32, 2], weight: View[f32, 1], epsilon: f32, y: MutView[f32, 2]):
    for r in range(x.shape[0]):
        rms_norm_row(x[r], weight, epsilon, y[r])


def layer_cases(rng):
    """Rows of awkward length, far from 0."""
    sizes = [n for n in around(LANES, WIDE) if n]
    return [
        (normal(rng, (2, n)) + 3, normal(rng, (n,)), normal(rng, (n,)), 1e-5, np.zeros((2, n), np.float32))
        for n in sizes
    ]


def rms_cases(rng):
    """Rows of awkward length."""
    sizes = [n for n in around(LANES, WIDE) if n]
    return [(normal(rng, (2, n)), normal(rng, (n,)), 1e-5, np.zeros((2, n), np.float32)) for n in sizes]


SWEEPS = (
    Sweep(layer_norm, reference_layer_norm, layer_cases, 1e-4, 1e-5),
    Sweep(rms_norm, reference_rms_norm, rms_cases, 1e-5, 1e-6),
)
