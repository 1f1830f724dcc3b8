"""Sums of absolute differences: of floats (Manhattan distance), and of bits (Hamming distance), one query to many rows.

Shapes:  query (n,), rows (m, n) -> out (m,) f32; floats f32 or f16, bits as u8 of 8 each.
Errors:  floats are added in f32 in 16 partial sums: relative 1e-6 * sqrt(n), about; bits are counted exactly up to
         2^24.
Layout:  a row is dense; any distance between rows.
Source:  definition.
"""

import numpy as np

from hekla.kernels.distances import last_part, part
from hekla.kernels.sizes import around, normal
from hekla.lang import (
    MutView,
    TypeParam,
    Vec,
    View,
    bitcast,
    f16,
    f32,
    i64,
    kernel,
    load,
    popcount,
    reduce_add,
    u8,
    u64,
)
from hekla.lang.sweep import Sweep

T = TypeParam("T")
LANES, BYTES = 16, 64


def reference_manhattan(query, rows, out):
    """Say it in NumPy."""
    out[:] = np.abs(rows.astype(np.float64) - query.astype(np.float64)).sum(axis=1)


def reference_hamming(query, rows, out):
    """Say it in NumPy."""
    out[:] = np.bitwise_count(rows ^ query).sum(axis=1)


@kernel(inline=True)
def absolute_many(query: View[T, 1], rows: View[T, 2], out: MutView[f32, 1]):
    n = len(query)
    whole = n - n % LANES
    for r in range(len(out)):
        row = rows[r]
        total = Vec[f32, LANES](0.0)
        for i in range(0, whole, LANES):
            total += abs(part(row, i) - part(query, i))
        if whole < n:
            total += abs(last_part(row, whole) - last_part(query, whole))
        out[r] = reduce_add(total)


@kernel
def manhattan_many(query: View[f32, 1], rows: View[f32, 2], out: MutView[f32, 1]):
    absolute_many(query, rows, out)


@kernel
def manhattan_f16_many(query: View[f16, 1], rows: View[f16, 2], out: MutView[f32, 1]):
    absolute_many(query, rows, out)


@kernel
def hamming_many(query: View[u8, 1], rows: View[u8, 2], out: MutView[f32, 1]):
    n = len(query)
    for r in range(len(out)):
        total = Vec[u64, BYTES // 8](0)
        for i in range(0, n, BYTES):
            apart = load(rows, r, i, width=BYTES, count=n - i) ^ load(query, i, width=BYTES, count=n - i)
            total += popcount(bitcast(Vec[u64, BYTES // 8], apart))
        out[r] = f32(i64(reduce_add(total)))


def cases(dtype, *widths):
    """Rows of awkward length; none, one and some."""
    return lambda rng: [
        (normal(rng, (n,), dtype), normal(rng, (m, n), dtype), np.zeros(m, np.float32))
        for n in around(*widths)
        for m in (0, 1, 3)
    ]


SWEEPS = (
    Sweep(manhattan_many, reference_manhattan, cases(np.float32, LANES), 1e-5, 1e-5),
    Sweep(manhattan_f16_many, reference_manhattan, cases(np.float16, LANES), 1e-5, 1e-5),
    Sweep(hamming_many, reference_hamming, cases(np.uint8, BYTES)),
)
