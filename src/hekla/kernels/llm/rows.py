"""What is done to one row of hidden states between matrices: norms, gates, sums; f32, always in the same order.

Shapes:  rows (n,) f32; a norm's weight is n elements of `weights` from `at`.
Source:  RMS norm, arXiv:1910.07467: x / sqrt(mean(x^2) + epsilon) * weight; gates, arXiv:2002.05202.
"""

import numpy as np

from hekla.kernels.activations import gelu_tanh_of, silu_of
from hekla.kernels.sizes import normal
from hekla.lang import Const, MutView, Vec, View, f32, fma, index, kernel, load, reduce_add, sqrt, store
from hekla.lang.sweep import Sweep


def reference_norm(x, n, weights, at, epsilon, y):
    """Say it in NumPy."""
    v = x[:n].astype(np.float64)
    y[:n] = v / np.sqrt((v * v).mean() + epsilon) * weights[at : at + n]


def reference_gate(gate, up, n, y):
    """Say it in NumPy: SiLU."""
    v = gate[:n].astype(np.float64)
    y[:n] = v / (1 + np.exp(-v)) * up[:n]


@kernel(inline=True)
def inverse_root(x: View[f32, 1], n: index, epsilon: f32) -> f32:
    """Return 1 / sqrt(mean of squares + epsilon)."""
    total = Vec[f32, 64](0.0)
    for i in range(0, n, 64):
        v = load(x, i, width=64, count=n - i)
        total = fma(v, v, total)
    return 1.0 / sqrt(reduce_add(total) / f32(n) + epsilon)


@kernel(inline=True)
def norm_row(x: View[f32, 1], n: index, weights: View[f32, 1], at: index, epsilon: f32, y: MutView[f32, 1]):
    """y = norm(x)."""
    factor = inverse_root(x, n, epsilon)
    for i in range(0, n, 16):
        weight = load(weights, at + i, width=16, count=n - i)
        store(y, i, load(x, i, width=16, count=n - i) * factor * weight, count=n - i)


@kernel(inline=True)
def norm_in_place(x: MutView[f32, 1], n: index, weights: View[f32, 1], at: index, epsilon: f32):
    """x = norm(x)."""
    factor = inverse_root(x, n, epsilon)
    for i in range(0, n, 16):
        weight = load(weights, at + i, width=16, count=n - i)
        store(x, i, load(x, i, width=16, count=n - i) * factor * weight, count=n - i)


@kernel(inline=True)
def add_row(x: View[f32, 1], n: index, y: MutView[f32, 1]):
    """y += x."""
    for i in range(0, n, 16):
        store(y, i, load(y, i, width=16, count=n - i) + load(x, i, width=16, count=n - i), count=n - i)


@kernel(inline=True)
def gate_row(gate: View[f32, 1], up: View[f32, 1], n: index, y: MutView[f32, 1], *, is_gelu: Const):
    """y = act(gate) * up."""
    for i in range(0, n, 32):
        g = load(gate, i, width=32, count=n - i)
        u = load(up, i, width=32, count=n - i)
        if is_gelu:
            store(y, i, gelu_tanh_of(g) * u, count=n - i)
        else:
            store(y, i, silu_of(g) * u, count=n - i)


@kernel
def norm_of(x: View[f32, 1], n: index, weights: View[f32, 1], at: index, epsilon: f32, y: MutView[f32, 1]):
    norm_row(x, n, weights, at, epsilon, y)


@kernel
def gated(gate: View[f32, 1], up: View[f32, 1], n: index, y: MutView[f32, 1]):
    gate_row(gate, up, n, y, is_gelu=False)


def norm_cases(rng):
    """Lengths around the widths, zeros too."""
    return [(normal(rng, n), n, normal(rng, n + 3), 3, 1e-6, np.zeros(n, np.float32)) for n in (1, 15, 16, 64, 65, 192)]


def gate_cases(rng):
    """Lengths around the widths."""
    return [(normal(rng, n) * 4, normal(rng, n), n, np.zeros(n, np.float32)) for n in (0, 1, 31, 32, 33)]


SWEEPS = (Sweep(norm_of, reference_norm, norm_cases, 1e-5, 1e-6), Sweep(gated, reference_gate, gate_cases, 1e-5, 1e-6))
