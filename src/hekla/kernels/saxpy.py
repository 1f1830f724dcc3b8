"""y <- a x + y.

Shapes:  a f32, x (n,) f32, y (n,) f32, written in place.
Rounds:  once for each element (fused multiply-add).
Source:  BLAS level 1, Lawson et al. 1979.
"""

import numpy as np

from hekla.kernels.sizes import around, pairs
from hekla.lang import MutView, View, f32, fma, kernel, load, store
from hekla.lang.sweep import Sweep

LANES = 16


def reference_saxpy(a, x, y):
    """Say it in NumPy."""
    y[:] = np.float64(np.float32(a)) * x + y


@kernel
def saxpy(a: f32, x: View[f32, 1], y: MutView[f32, 1]):
    n = len(x)
    whole = n - n % LANES
    for i in range(0, whole, LANES):
        store(y, i, fma(load(x, i, width=LANES), a, load(y, i, width=LANES)))
    if whole < n:
        rest = n - whole
        v = fma(load(x, whole, width=LANES, count=rest), a, load(y, whole, width=LANES, count=rest))
        store(y, whole, v, count=rest)


SWEEPS = (
    Sweep(
        saxpy, reference_saxpy, lambda rng: [(1.5, x, y) for x, y in pairs(rng, around(LANES), np.float32)], 1e-6, 1e-6
    ),
)
