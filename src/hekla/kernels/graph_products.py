"""Inner products of many rows with packed columns, the rows shared among a given number of threads.

Shapes:  rows (m, w) f32, packed (ceil(n / 64), w, 64) f32 (`sgemm.pack_b`) -> out (m, n) f32.
Errors:  as `sgemm`; the result does not depend on the number of threads.
"""

import numpy as np

from hekla.kernels.activations import identity_of
from hekla.kernels.sgemm import COLUMNS, packed_of, panel_product
from hekla.kernels.sizes import normal
from hekla.lang import MutView, View, f32, index, kernel, parallel
from hekla.lang.sweep import Sweep


def reference_row_products(rows, packed, bias, threads, out):
    """Say it in NumPy."""
    panels, k, _ = packed.shape
    out[:] = rows.astype(np.float64) @ packed.transpose(1, 0, 2).reshape(k, panels * COLUMNS)[:, : out.shape[1]] + bias


@kernel
def row_products(rows: View[f32, 2], packed: View[f32, 3], bias: View[f32, 1], threads: index, out: MutView[f32, 2]):
    m = rows.shape[0]
    n = out.shape[1]
    for t in parallel(threads, unproved="a thread writes the rows of its own share"):
        first = t * m // threads
        last = (t + 1) * m // threads
        for panel in range((n + COLUMNS - 1) // COLUMNS):
            begin = panel * COLUMNS
            end = min(n, begin + COLUMNS)
            panel_product(
                rows[first:last], packed[panel], bias[begin:end], out[first:last, begin:end], epilogue=identity_of
            )


def cases(rng):
    """Fewer rows than threads, and more; columns around a panel."""
    return [
        (normal(rng, (m, k)), packed_of(normal(rng, (k, n))), normal(rng, (n,)), threads, np.zeros((m, n), np.float32))
        for m, k, n, threads in ((1, 3, 5, 2), (7, 64, 63, 2), (9, 5, 65, 1))
    ]


SWEEPS = (Sweep(row_products, reference_row_products, cases, 1e-4, 1e-4),)
