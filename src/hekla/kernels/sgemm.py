"""Matrix product in f32 with a fused bias and activation: c <- f(a b + bias).

Shapes:  a (m, k), b (k, n) packed to (ceil(n / 64), k, 64) by `pack_b`, bias (n,) -> c (m, n); all f32.
Layout:  the last dimension is dense everywhere; rows of a and c may be further apart.
Errors:  sums in f32 in the order of k: relative 1e-6 * sqrt(k) of the largest partial sum, about.
Tiles:   6 rows by 64 columns: 24 accumulators of 16 lanes, which a machine with 32 vector registers holds
         (28 spill); k in blocks of 512, so that a block of b (128 KB) stays in the L2 cache.
Source:  Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.
"""

import numpy as np

from hekla.kernels.activations import gelu_of, identity_of, relu_of, silu_of
from hekla.kernels.sizes import normal
from hekla.lang import (
    Array,
    Const,
    Function,
    MutView,
    Vec,
    View,
    f32,
    fma,
    index,
    kernel,
    load,
    parallel,
    store,
    unroll,
)
from hekla.lang.sweep import Sweep

COLUMNS, DEPTH, LANES = 64, 512, 16
HEIGHTS = (6, 4, 2, 1)  # rows of a tile: what 6 rows leave over takes two tiles at most
PARTS = COLUMNS // LANES


def packed_shape(k: int, n: int) -> tuple[int, int, int]:
    """Return the shape of the packed form of a (k, n) matrix."""
    return (-(-n // COLUMNS), k, COLUMNS)


def reference_pack_b(b, packed):
    """Say it in NumPy."""
    k, n = b.shape
    padded = np.zeros((k, packed.shape[0] * COLUMNS), np.float32)
    padded[:, :n] = b
    packed[:] = padded.reshape(k, packed.shape[0], COLUMNS).transpose(1, 0, 2)


def reference_sgemm(f):
    """Return the NumPy form for an activation."""

    def reference(a, packed, bias, c):
        panels, k, _ = packed.shape
        b = packed.transpose(1, 0, 2).reshape(k, panels * COLUMNS)[:, : c.shape[1]]
        c[:] = f(a.astype(np.float64) @ b + bias)

    return reference


@kernel
def pack_b(b: View[f32, 2], packed: MutView[f32, 3]):
    n = b.shape[1]
    for panel in range(packed.shape[0]):
        first = panel * COLUMNS
        for k in range(b.shape[0]):
            for p in unroll(range(PARTS)):
                at = first + p * LANES
                store(packed, panel, k, p * LANES, load(b, k, min(at, n), width=LANES, count=n - at))


@kernel(inline=True)
def products(
    a: View[f32, 2], b: View[f32, 2], sums: MutView[f32, 2], i: index, begin: index, end: index, *, rows: Const
):
    acc = Array[Vec[f32, LANES], rows * PARTS](0.0)
    for k in range(begin, end):
        row = Array[Vec[f32, LANES], PARTS](0.0)
        for p in unroll(range(PARTS)):
            row[p] = load(b, k, p * LANES, width=LANES)
        for r in unroll(range(rows)):
            x = a[i + r, k]
            for p in unroll(range(PARTS)):
                acc[r * PARTS + p] = fma(row[p], x, acc[r * PARTS + p])
    for r in unroll(range(rows)):
        for p in unroll(range(PARTS)):
            store(sums, r, p * LANES, acc[r * PARTS + p])


@kernel(inline=True)
def finish(
    sums: View[f32, 2],
    bias: View[f32, 1],
    c: MutView[f32, 2],
    is_first: bool,
    is_last: bool,
    *,
    epilogue: Function,
):
    n = c.shape[1]
    for at in range(0, n, LANES):
        left = n - at
        beside = load(bias, at, width=LANES, count=left)
        for r in range(c.shape[0]):
            total = load(sums, r, at, width=LANES)
            if not is_first:
                total += load(c, r, at, width=LANES, count=left)
            if is_last:
                total = epilogue(total + beside)
            store(c, r, at, total, count=left)


@kernel
def panel_product(a: View[f32, 2], b: View[f32, 2], bias: View[f32, 1], c: MutView[f32, 2], *, epilogue: Function):
    m = c.shape[0]
    depth = b.shape[0]
    sums = Array[Array[f32, COLUMNS], HEIGHTS[0]](Array[f32, COLUMNS](0.0))
    begin = 0
    while begin < depth or begin == 0:
        end = min(depth, begin + DEPTH)
        i = 0
        while i < m:
            rows = 0
            for height in unroll(HEIGHTS):
                if rows == 0 and m - i >= height:
                    products(a, b, sums.mut(), i, begin, end, rows=height)
                    rows = height
            finish(sums.view(), bias, c[i : i + rows], begin == 0, end == depth, epilogue=epilogue)
            i += rows
        begin += DEPTH


@kernel(inline=True)
def gemm(a: View[f32, 2], packed: View[f32, 3], bias: View[f32, 1], c: MutView[f32, 2], *, epilogue: Function):
    n = c.shape[1]
    for panel in parallel((n + COLUMNS - 1) // COLUMNS):
        first = panel * COLUMNS
        end = min(n, first + COLUMNS)
        panel_product(a, packed[panel], bias[first:end], c[:, first:end], epilogue=epilogue)


@kernel
def sgemm(a: View[f32, 2], packed: View[f32, 3], bias: View[f32, 1], c: MutView[f32, 2]):
    gemm(a, packed, bias, c, epilogue=identity_of)


@kernel
def sgemm_relu(a: View[f32, 2], packed: View[f32, 3], bias: View[f32, 1], c: MutView[f32, 2]):
    gemm(a, packed, bias, c, epilogue=relu_of)


@kernel
def sgemm_gelu(a: View[f32, 2], packed: View[f32, 3], bias: View[f32, 1], c: MutView[f32, 2]):
    gemm(a, packed, bias, c, epilogue=gelu_of)


@kernel
def sgemm_silu(a: View[f32, 2], packed: View[f32, 3], bias: View[f32, 1], c: MutView[f32, 2]):
    gemm(a, packed, bias, c, epilogue=silu_of)


def packed_of(b):
    """Return the packed form of a matrix, by NumPy."""
    packed = np.zeros(packed_shape(*b.shape), np.float32)
    reference_pack_b(b, packed)
    return packed


def product_cases(shapes):
    """Return cases for these (m, k, n)."""

    def cases(rng):
        return [
            (normal(rng, (m, k)), packed_of(normal(rng, (k, n))), normal(rng, (n,)), np.zeros((m, n), np.float32))
            for m, k, n in shapes
        ]

    return cases


EDGES = [(0, 3, 3), (1, 0, 5), (1, 1, 1), (5, 3, 63), (6, 4, 64), (7, 5, 65), (2, 515, 15), (3, 2, 17)]

SWEEPS = (
    Sweep(
        pack_b,
        reference_pack_b,
        lambda rng: [
            (normal(rng, (k, n)), np.zeros(packed_shape(k, n), np.float32)) for k, n in ((1, 1), (3, 64), (2, 79))
        ],
    ),
    Sweep(sgemm, reference_sgemm(lambda x: x), product_cases(EDGES), 1e-4, 1e-4),
    Sweep(sgemm_relu, reference_sgemm(lambda x: np.maximum(x, 0)), product_cases([(7, 5, 65)]), 1e-4, 1e-4),
)
