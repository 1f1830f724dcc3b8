"""Read an array once with every thread: what memory gives, for benchmarks to stand beside.

Shapes:  x (n,) f32, totals (t,) f32 -> written: totals[i] is the sum of x[i * s : (i + 1) * s],
         s = n // t rounded down to 128; what is left past t * s is not read. t >= 1.
Rounds:  sums of eight vectors of 16, then of these.
Cost:    memory bandwidth.
Source:  STREAM (McCalpin 1995), its reading half.
"""

import numpy as np

from hekla.kernels.sizes import normal
from hekla.lang import Array, MutView, Vec, View, f32, kernel, load, parallel, reduce_add, unroll
from hekla.lang.sweep import Sweep

LANES, CHAINS = 16, 8
STRIDE = LANES * CHAINS


def reference_memory_read(x, totals):
    """Say it in NumPy."""
    share = len(x) // len(totals) // STRIDE * STRIDE
    totals[:] = x[: share * len(totals)].reshape(len(totals), share).astype(np.float64).sum(axis=1)


@kernel
def memory_read(x: View[f32, 1], totals: MutView[f32, 1]):
    share = len(x) // len(totals) // STRIDE * STRIDE
    for t in parallel(len(totals)):
        sums = Array[Vec[f32, LANES], CHAINS](0.0)
        for i in range(t * share, (t + 1) * share, STRIDE):
            for c in unroll(range(CHAINS)):
                sums[c] = sums[c] + load(x, i + c * LANES, width=LANES)
        for c in unroll(range(1, CHAINS)):
            sums[0] += sums[c]
        totals[t] = reduce_add(sums[0])


def cases(rng):
    """No whole stride, one, several, a rest; one thread and more."""
    sizes = (0, STRIDE - 1, STRIDE, 4 * STRIDE, 7 * STRIDE + 5)
    return [(normal(rng, n), np.zeros(t, np.float32)) for n in sizes for t in (1, 2, 3)]


SWEEPS = (Sweep(memory_read, reference_memory_read, cases, 1e-4, 1e-5),)
