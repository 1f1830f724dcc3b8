"""Activations over a vector: ReLU, GELU (exact and by tanh), SiLU; also as functions of lanes, for fused epilogues.

Shapes:  x (n,) f32 -> y (n,) f32.
Errors:  4 ulp of the result or 1e-7 absolute, from the functions of hekla.lang.math.
Source:  GELU: Hendrycks and Gimpel, arXiv:1606.08415; SiLU: Elfwing et al., arXiv:1702.03118.
"""

import math

import numpy as np

from hekla.kernels.sizes import around, normal
from hekla.lang import Function, MutView, TypeParam, View, bitcast, f32, fma, i32, kernel, load, store
from hekla.lang.math import ROUND, sigmoid
from hekla.lang.sweep import Sweep

LANES = 16
WIDE = 4 * LANES  # four registers at once: one polynomial is a chain of waits, four side by side fill them
HALF_LOG2_E = 0.5 / math.log(2)
V = TypeParam("V")  # f32 or Vec[f32, N]
HALF_ROOT, ROOT_2_OVER_PI = math.sqrt(0.5), math.sqrt(2 / math.pi)


def reference_relu(x, y):
    """Say it in NumPy."""
    y[:] = np.maximum(x, 0)


def reference_gelu(x, y):
    """Say it in Python's floats."""
    y[:] = [0.5 * v * (1 + math.erf(v * HALF_ROOT)) for v in x.astype(np.float64)]


def reference_gelu_tanh(x, y):
    """Say it in NumPy."""
    v = x.astype(np.float64)
    y[:] = 0.5 * v * (1 + np.tanh(ROOT_2_OVER_PI * (v + 0.044715 * v**3)))


def reference_silu(x, y):
    """Say it in NumPy."""
    v = x.astype(np.float64)
    y[:] = v / (1 + np.exp(-v))


@kernel(inline=True)
def identity_of(x: V) -> V:
    return x


@kernel(inline=True)
def relu_of(x: V) -> V:
    return max(0.0, x)


@kernel(inline=True)
def gelu_of(x: V) -> V:
    """x / 2 * (1 + erf(x / sqrt(2))), as max(0, x) - |x| Phi(-|x|): precise below 0 too, where 1 + erf cancels.

    Phi(-a) = exp(-a^2 / 2) p(t), t = 1 / (1 + 0.3 a), p the minimax polynomial of degree 8 for a up to 13, 1.1e-7.
    """
    a = min(12.9, abs(x))  # beyond it the tail is below 1e-36
    t = 1.0 / fma(a, 0.3, 1.0)
    p = fma(t, 0.0361950286, -0.159378991)
    p = fma(p, t, 0.210119471)
    p = fma(p, t, -0.0571682751)
    p = fma(p, t, 0.1304169)
    p = fma(p, t, 0.0993470028)
    p = fma(p, t, 0.120845549)
    p = fma(p, t, 0.119623259)
    s = a * a
    shifted = fma(s, -HALF_LOG2_E, ROUND)  # e^(-s / 2) = 2^n 2^r with n whole, by a polynomial with 2^0 = 1
    r = fma(s, -HALF_LOG2_E, ROUND - shifted)
    q = fma(r, 1.326472615e-3, 9.671512991e-3)
    q = fma(q, r, 5.550733581e-2)
    q = fma(q, r, 2.402224243e-1)
    q = fma(q, r, 6.931470037e-1)
    q = fma(q, r, 1.0)
    power = bitcast(f32, bitcast(i32, q) + (bitcast(i32, shifted) << 23))
    return fma(a * t, -(p * power), max(0.0, x))


@kernel(inline=True)
def gelu_tanh_of(x: V) -> V:
    """x / 2 * (1 + tanh(u)) is x * sigmoid(2 u), which is shorter and keeps its precision far below 0."""
    return x * sigmoid((2 * ROOT_2_OVER_PI) * x * fma(x * x, 0.044715, 1.0))


@kernel(inline=True)
def silu_of(x: V) -> V:
    return x * sigmoid(x)


@kernel(inline=True)
def map_lanes(x: View[f32, 1], y: MutView[f32, 1], *, f: Function):
    n = len(x)
    whole = n - n % WIDE
    for i in range(0, whole, WIDE):
        store(y, i, f(load(x, i, width=WIDE)))
    for i in range(whole, n, LANES):
        store(y, i, f(load(x, i, width=LANES, count=n - i)), count=n - i)


@kernel
def relu(x: View[f32, 1], y: MutView[f32, 1]):
    map_lanes(x, y, f=relu_of)


@kernel
def gelu(x: View[f32, 1], y: MutView[f32, 1]):
    map_lanes(x, y, f=gelu_of)


@kernel
def gelu_tanh(x: View[f32, 1], y: MutView[f32, 1]):
    map_lanes(x, y, f=gelu_tanh_of)


@kernel
def silu(x: View[f32, 1], y: MutView[f32, 1]):
    map_lanes(x, y, f=silu_of)


def cases(rng):
    """Inputs over the curved part and far outside of it."""
    made = [(normal(rng, (n,)) * 3, np.zeros(n, np.float32)) for n in around(LANES, WIDE)]
    far = np.array([-100, -20, -5, -0.0, 0.0, 1e-30, 5, 20, 100], np.float32)
    return [*made, (far, np.zeros_like(far))]


SWEEPS = (
    Sweep(relu, reference_relu, cases),
    Sweep(gelu, reference_gelu, cases, 1e-6, 2e-7),
    Sweep(gelu_tanh, reference_gelu_tanh, cases, 1e-6, 2e-7),
    Sweep(silu, reference_silu, cases, 1e-6, 2e-7),
)
