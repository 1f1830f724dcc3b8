"""Products of packed quantised matrices (`panels.py`) by rows of bytes (`activations_i8.py`).

Shapes:  a panel of 16 outputs by `blocks` * 32 inputs; x codes (rows, stride) i8 with scales and sums per block
         -> out (rows, out_stride) f32, 16 columns from `column`.
Order:   for each row the same: integer sums of a block, exact; then blocks from first to last,
         out = d * (sum * x_scale) + (m * x_sum + out), fused. It does not depend on how many rows there are.
Errors:  those of the bytes of x; sums of products in f32.
Tiles:   HEIGHTS rows by 16 outputs: codes are unpacked once for all rows of a tile.
Source:  AVX-512 VNNI `vpdpbusd`; block formats of llama.cpp.
"""

from hekla.kernels.llm.panel_scales import half_scale, scale_of, shift_of
from hekla.lang import (
    Array,
    Const,
    MutView,
    Vec,
    View,
    bitcast,
    dot4,
    f16,
    f32,
    fma,
    i8,
    i32,
    index,
    kernel,
    load,
    prefetch,
    store,
    u8,
    unroll,
)

HEIGHTS = (8, 4, 2, 1)
AHEAD_BYTES = 4096  # what is fetched early: panels are too short for the processor to guess where the next begins
BLOCK_LINES = {4: 5, 5: 6, 6: 7, 8: 9}  # cache lines of a block of 32 inputs with its scales, by bits


@kernel(inline=True)
def low_codes(w: View[u8, 1], codes: index, high: index, b: index, *, bits: Const, j: Const) -> Vec[u8, 64]:
    """Codes of inputs 4j..4j+3 of block b, as the dot product takes them."""
    if bits == 8:
        return load(w, codes + b * 512 + j * 64, width=64)
    nibbles = load(w, codes + b * 256 + j * 64, width=64) & 15
    if bits == 5:
        return nibbles | ((load(w, high + b * 64, width=64) >> j << 4) & 16)
    if bits == 6:
        return nibbles | ((load(w, high + b * 128, width=64) >> (2 * j) << 4) & 48)
    return nibbles


@kernel(inline=True)
def high_codes(w: View[u8, 1], codes: index, high: index, b: index, *, bits: Const, j: Const) -> Vec[u8, 64]:
    """Codes of inputs 16 + 4j .. 16 + 4j + 3 of block b."""
    if bits == 8:
        return load(w, codes + b * 512 + (4 + j) * 64, width=64)
    nibbles = load(w, codes + b * 256 + j * 64, width=64) >> 4
    if bits == 5:
        return nibbles | ((load(w, high + b * 64, width=64) >> (4 + j) << 4) & 16)
    if bits == 6:
        return nibbles | ((load(w, high + b * 128 + 64, width=64) >> (2 * j) << 4) & 48)
    return nibbles


@kernel(inline=True)
def four_inputs(x: View[i8, 1], at: index) -> Vec[i8, 64]:
    """Return four bytes sixteen times."""
    return bitcast(Vec[i8, 64], Vec[i32, 16](bitcast(i32, load(x, at, width=4))))


@kernel(inline=True)
def fetch_early(w: View[u8, 1], codes: index, b: index, row: index, *, bits: Const):
    """Ask for what comes AHEAD_BYTES after block b; only the first rows of a panel find it far away."""
    if row == 0:
        lines: Const = BLOCK_LINES[bits]
        for line in unroll(range(lines)):
            prefetch(w, codes + (b * lines + line) * 64 + AHEAD_BYTES)


@kernel(inline=True)
def tile(
    w: View[u8, 1], h: View[f16, 1], codes: index, high: index, scales: index, blocks: index, per: index,
    x: View[i8, 1], x_scales: View[f32, 1], x_sums: View[f32, 1], out: MutView[f32, 1], row: index, out_stride: index,
    column: index, *, bits: Const, style: Const, zero: Const, stride: Const, rows: Const,
):  # fmt: skip
    """Compute `rows` rows from `row` of one panel."""
    total = Array[Vec[f32, 16], rows](0.0)
    for b in range(blocks):
        fetch_early(w, codes, b, row, bits=bits)
        at = row * stride + b * 32
        at_block = row * (stride // 32) + b
        sums = Array[Vec[i32, 16], rows](0)
        for j in unroll(range(4)):
            low = low_codes(w, codes, high, b, bits=bits, j=j)
            for r in unroll(range(rows)):
                sums[r] = dot4(sums[r], low, four_inputs(x, at + r * stride + 4 * j))
            other = high_codes(w, codes, high, b, bits=bits, j=j)
            for r in unroll(range(rows)):
                sums[r] = dot4(sums[r], other, four_inputs(x, at + r * stride + 16 + 4 * j))
        d = scale_of(w, h, scales, b, per, style=style)
        m = shift_of(w, h, scales, b, per, d, style=style, zero=zero)
        for r in unroll(range(rows)):
            x_sum = Vec[f32, 16](x_sums[at_block + r * (stride // 32)])
            scaled = f32(sums[r]) * Vec[f32, 16](x_scales[at_block + r * (stride // 32)])
            total[r] = fma(d, scaled, fma(m, x_sum, total[r]))
    for r in unroll(range(rows)):
        store(out, (row + r) * out_stride + column, total[r])


@kernel(inline=True)
def halves_tile(
    w: View[u8, 1], h: View[f16, 1], codes: index, high: index, scales: index, blocks: index,
    x: View[i8, 1], x_scales: View[f32, 1], x_halves: View[f32, 1], out: MutView[f32, 1], row: index,
    out_stride: index, column: index, *, bits: Const, zero: Const, stride: Const, rows: Const,
):  # fmt: skip
    """As `tile`, where each 16 inputs have a scale."""
    total = Array[Vec[f32, 16], rows](0.0)
    for b in range(blocks):
        fetch_early(w, codes, b, row, bits=bits)
        at = row * stride + b * 32
        at_block = row * (stride // 32) + b
        for half in unroll(range(2)):
            sums = Array[Vec[i32, 16], rows](0)
            for j in unroll(range(4)):
                c = Vec[u8, 64](0)
                if half == 0:
                    c = low_codes(w, codes, high, b, bits=bits, j=j)
                else:
                    c = high_codes(w, codes, high, b, bits=bits, j=j)
                for r in unroll(range(rows)):
                    sums[r] = dot4(sums[r], c, four_inputs(x, at + r * stride + 16 * half + 4 * j))
            d = half_scale(w, h, scales, 2 * b + half)
            m = d * (-zero)
            for r in unroll(range(rows)):
                x_sum = Vec[f32, 16](x_halves[2 * (at_block + r * (stride // 32)) + half])
                scaled = f32(sums[r]) * Vec[f32, 16](x_scales[at_block + r * (stride // 32)])
                total[r] = fma(d, scaled, fma(m, x_sum, total[r]))
    for r in unroll(range(rows)):
        store(out, (row + r) * out_stride + column, total[r])


@kernel
def panel_rows(
    w: View[u8, 1], h: View[f16, 1], codes: index, high: index, scales: index, blocks: index, per: index,
    x: View[i8, 1], x_scales: View[f32, 1], x_sums: View[f32, 1], x_halves: View[f32, 1],
    out: MutView[f32, 1], rows: index, out_stride: index, column: index,
    *, bits: Const, style: Const, zero: Const, stride: Const,
):  # fmt: skip
    """Compute all rows of one panel, in tiles."""
    row = 0
    while row < rows:
        done = 0
        for height in unroll(HEIGHTS):
            if done == 0 and rows - row >= height:
                if style == "halves":
                    halves_tile(
                        w, h, codes, high, scales, blocks, x, x_scales, x_halves, out, row, out_stride, column,
                        bits=bits, zero=zero, stride=stride, rows=height,
                    )  # fmt: skip
                else:
                    tile(
                        w, h, codes, high, scales, blocks, per, x, x_scales, x_sums, out, row, out_stride, column,
                        bits=bits, style=style, zero=zero, stride=stride, rows=height,
                    )  # fmt: skip
                done = height
        row += done
