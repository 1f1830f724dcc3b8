"""Activations over a vector: ReLU, GELU (exact and by tanh), SiLU; also as functions of lanes, for fused epilogues.

Shapes:  x (n,) f32 -> y (n,) f32.
Errors:  4 ulp of the result or 1e-7 absolute, from the functions of hekla.lang.math.
Source:  GELU: Hendrycks and Gimpel, arXiv:1606.08415; SiLU: Elfwing et al., arXiv:1702.03118.
"""

import math

import numpy as np

from hekla.kernels.sizes import around, normal
from hekla.lang import Function, MutView, TypeParam, View, f32, kernel, load, store
from hekla.lang.math import erf, sigmoid, tanh
from hekla.lang.sweep import Sweep

LANES = 16
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
    return 0.5 * x * (1.0 + erf(x * HALF_ROOT))


@kernel(inline=True)
def gelu_tanh_of(x: V) -> V:
    return 0.5 * x * (1.0 + tanh(ROOT_2_OVER_PI * (x + 0.044715 * x * x * x)))


@kernel(inline=True)
def silu_of(x: V) -> V:
    return x * sigmoid(x)


@kernel(inline=True)
def map_lanes(x: View[f32, 1], y: MutView[f32, 1], *, f: Function):
    n = len(x)
    whole = n - n % LANES
    for i in range(0, whole, LANES):
        store(y, i, f(load(x, i, width=LANES)))
    if whole < n:
        store(y, whole, f(load(x, whole, width=LANES, count=n - whole)), count=n - whole)


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
    made = [(normal(rng, (n,)) * 3, np.zeros(n, np.float32)) for n in around(LANES)]
    far = np.array([-100, -20, -5, -0.0, 0.0, 1e-30, 5, 20, 100], np.float32)
    return [*made, (far, np.zeros_like(far))]


SWEEPS = (
    Sweep(relu, reference_relu, cases),
    Sweep(gelu, reference_gelu, cases, 1e-6, 2e-7),
    Sweep(gelu_tanh, reference_gelu_tanh, cases, 1e-6, 2e-7),
    Sweep(silu, reference_silu, cases, 1e-6, 2e-7),
)
