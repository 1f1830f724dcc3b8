"""Matrix product of bytes: u8 activations by s8 weights, exact sums in s32, optionally requantised to u8.

Shapes:  a (m, k) u8, b (k, n) s8 packed to (ceil(n / 32), ceil(k / 4), 128) by `pack_weights` -> c (m, n) s32.
         Requantised: scale (n,) f32, offset (n,) s32, zero s32 -> out (m, n) u8:
         out = clamp(round_even(f32(sum + offset) * scale) + zero, 0, 255).
Layout:  packed[panel, k4, 4 * column + byte]: four values of k side by side, as the dot product takes them.
Errors:  none; sums wrap at 2^31, which needs k over 66000.
Tiles:   12 rows by 32 columns: 24 accumulators of 16 lanes.
Source:  AVX-512 VNNI `vpdpbusd`, Intel Architecture Instruction Set Extensions Programming Reference.
"""

import numpy as np

from hekla.kernels.sizes import normal
from hekla.lang import (
    Array,
    Const,
    MutView,
    Vec,
    View,
    bitcast,
    dot4,
    f32,
    i8,
    i32,
    index,
    kernel,
    load,
    parallel,
    round_even,
    saturate,
    store,
    u8,
    unroll,
)
from hekla.lang.sweep import Sweep

COLUMNS, LANES = 32, 16
HEIGHTS = (12, 4, 1)  # rows of a tile
PARTS, PANEL = COLUMNS // LANES, 4 * COLUMNS


def packed_shape(k: int, n: int) -> tuple[int, int, int]:
    """Return the shape of the packed form of a (k, n) matrix."""
    return (-(-n // COLUMNS), -(-k // 4), PANEL)


def reference_pack_weights(b, packed):
    """Say it in NumPy."""
    k, n = b.shape
    padded = np.zeros((packed.shape[1] * 4, packed.shape[0] * COLUMNS), np.int8)
    padded[:k, :n] = b
    packed[:] = padded.reshape(-1, 4, packed.shape[0], COLUMNS).transpose(2, 0, 3, 1).reshape(packed.shape)


def unpacked(packed, k, n):
    """Return the matrix behind its packed form."""
    panels, fours, _ = packed.shape
    rows = packed.reshape(panels, fours, COLUMNS, 4).transpose(1, 3, 0, 2).reshape(fours * 4, panels * COLUMNS)
    return rows[:k, :n]


def reference_int8_gemm(a, packed, c):
    """Say it in NumPy."""
    c[:] = a.astype(np.int32) @ unpacked(packed, a.shape[1], c.shape[1]).astype(np.int32)


def reference_requantised(a, packed, scale, offset, zero, out):
    """Say it in NumPy."""
    sums = a.astype(np.int32) @ unpacked(packed, a.shape[1], out.shape[1]).astype(np.int32) + offset
    out[:] = np.clip(np.rint(sums.astype(np.float32) * scale).astype(np.int64) + zero, 0, 255)


@kernel
def pack_weights(b: View[i8, 2], packed: MutView[i8, 3]):
    for panel in range(packed.shape[0]):
        for four in range(packed.shape[1]):
            for at in range(PANEL):
                k = 4 * four + at % 4
                j = panel * COLUMNS + at // 4
                if k < b.shape[0] and j < b.shape[1]:
                    packed[panel, four, at] = b[k, j]
                else:
                    packed[panel, four, at] = 0


@kernel(inline=True)
def four_bytes(a: View[u8, 2], i: index, k: index, left: index) -> Vec[u8, 64]:
    return bitcast(Vec[u8, 64], Vec[i32, LANES](bitcast(i32, load(a, i, k, width=4, count=left))))


@kernel(inline=True)
def products(a: View[u8, 2], b: View[i8, 2], sums: MutView[i32, 2], i: index, *, rows: Const):
    depth = a.shape[1]
    acc = Array[Vec[i32, LANES], rows * PARTS](0)
    for four in range(depth // 4):
        weights = Array[Vec[i8, 64], PARTS](0)
        for p in unroll(range(PARTS)):
            weights[p] = load(b, four, p * 64, width=64)
        for r in unroll(range(rows)):
            x = bitcast(Vec[u8, 64], Vec[i32, LANES](bitcast(i32, load(a, i + r, 4 * four, width=4))))
            for p in unroll(range(PARTS)):
                acc[r * PARTS + p] = dot4(acc[r * PARTS + p], x, weights[p])
    for r in unroll(range(rows)):
        for p in unroll(range(PARTS)):
            store(sums, r, p * LANES, acc[r * PARTS + p])


@kernel(inline=True)
def last_products(a: View[u8, 2], b: View[i8, 2], sums: MutView[i32, 2]):
    depth = a.shape[1]
    left = depth % 4
    for r in range(a.shape[0]):
        x = four_bytes(a, r, depth - left, left)
        for p in unroll(range(PARTS)):
            total = load(sums, r, p * LANES, width=LANES)
            store(sums, r, p * LANES, dot4(total, x, load(b, depth // 4, p * 64, width=64)))


@kernel(inline=True)
def tile(a: View[u8, 2], b: View[i8, 2], sums: MutView[i32, 2], i: index) -> index:
    rows = 0
    for height in unroll(HEIGHTS):
        if rows == 0 and a.shape[0] - i >= height:
            products(a, b, sums, i, rows=height)
            rows = height
    if a.shape[1] % 4 > 0:
        last_products(a[i : i + rows], b, sums)
    return rows


@kernel
def panel_product(a: View[u8, 2], b: View[i8, 2], c: MutView[i32, 2]):
    n = c.shape[1]
    sums = Array[Array[i32, COLUMNS], HEIGHTS[0]](Array[i32, COLUMNS](0))
    i = 0
    while i < a.shape[0]:
        rows = tile(a, b, sums.mut(), i)
        totals = sums.view()
        for at in range(0, n, LANES):
            for r in range(rows):
                store(c, i + r, at, load(totals, r, at, width=LANES), count=n - at)
        i += rows


@kernel
def panel_requantised(
    a: View[u8, 2], b: View[i8, 2], scale: View[f32, 1], offset: View[i32, 1], zero: i32, out: MutView[u8, 2]
):
    n = out.shape[1]
    sums = Array[Array[i32, COLUMNS], HEIGHTS[0]](Array[i32, COLUMNS](0))
    i = 0
    while i < a.shape[0]:
        rows = tile(a, b, sums.mut(), i)
        totals = sums.view()
        for at in range(0, n, LANES):
            factor = load(scale, at, width=LANES, count=n - at)
            shift = load(offset, at, width=LANES, count=n - at)
            for r in range(rows):
                total = f32(load(totals, r, at, width=LANES) + shift) * factor
                store(out, i + r, at, saturate(u8, i32(round_even(total)) + zero), count=n - at)
        i += rows


@kernel
def int8_gemm(a: View[u8, 2], packed: View[i8, 3], c: MutView[i32, 2]):
    n = c.shape[1]
    for panel in parallel((n + COLUMNS - 1) // COLUMNS):
        first = panel * COLUMNS
        end = min(n, first + COLUMNS)
        panel_product(a, packed[panel], c[:, first:end])


@kernel
def int8_gemm_requantised(
    a: View[u8, 2], packed: View[i8, 3], scale: View[f32, 1], offset: View[i32, 1], zero: i32, out: MutView[u8, 2]
):
    n = out.shape[1]
    for panel in parallel((n + COLUMNS - 1) // COLUMNS):
        first = panel * COLUMNS
        end = min(n, first + COLUMNS)
        panel_requantised(a, packed[panel], scale[first:end], offset[first:end], zero, out[:, first:end])


def packed_of(b):
    """Return the packed form of a matrix, by NumPy."""
    packed = np.zeros(packed_shape(*b.shape), np.int8)
    reference_pack_weights(b, packed)
    return packed


def product_cases(rng):
    """Shapes around every tile, numbers over the whole range."""
    shapes = [(0, 3, 3), (1, 1, 1), (11, 5, 31), (12, 8, 32), (13, 7, 33), (3, 64, 17)]
    return [
        (normal(rng, (m, k), np.uint8), packed_of(normal(rng, (k, n), np.int8)), np.zeros((m, n), np.int32))
        for m, k, n in shapes
    ]


def requantised_cases(rng):
    """Scales that bring most sums into the range and some out of it."""
    return [
        (
            *(normal(rng, (m, k), np.uint8), packed_of(normal(rng, (k, n), np.int8))),
            (rng.uniform(0.001, 0.01, n).astype(np.float32)),
            rng.integers(-1000, 1000, n, dtype=np.int32),
            100,
            np.zeros((m, n), np.uint8),
        )
        for m, k, n in ((1, 1, 1), (12, 8, 32), (13, 7, 33))
    ]


SWEEPS = (
    Sweep(
        pack_weights,
        reference_pack_weights,
        lambda rng: [
            (normal(rng, (k, n), np.int8), np.zeros(packed_shape(k, n), np.int8)) for k, n in ((1, 1), (4, 32), (5, 33))
        ],
    ),
    Sweep(int8_gemm, reference_int8_gemm, product_cases),
    Sweep(int8_gemm_requantised, reference_requantised, requantised_cases),
)
