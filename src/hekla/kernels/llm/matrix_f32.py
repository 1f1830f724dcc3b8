"""Products of packed matrices (`panels.py`) by rows of f32: float weights, and quantised ones without rounding x.

Shapes:  a panel of 16 outputs; x (rows, stride) f32 -> out (rows, out_stride) f32, 16 columns from `column`.
Order:   for each row the same: input by input, fused. Float weights: even inputs in one sum, odd ones in another.
Errors:  sums of products in f32; weights are exactly what the stored codes and scales mean.
"""

from hekla.kernels.llm.matrix_i8 import HEIGHTS, high_codes, low_codes
from hekla.kernels.llm.panel_scales import half_scale, scale_of, shift_of
from hekla.lang import (
    Array,
    Const,
    MutView,
    TypeParam,
    Vec,
    View,
    bitcast,
    f16,
    f32,
    fma,
    i32,
    index,
    kernel,
    load,
    prefetch,
    store,
    u8,
    unroll,
)

W = TypeParam("W")
AHEAD = 2048  # elements that are fetched early, 4 or 8 KiB


@kernel(inline=True)
def code_lane(codes: Vec[u8, 64], *, place: Const) -> Vec[f32, 16]:
    """Return byte `place` of each four as floats."""
    return f32((bitcast(Vec[i32, 16], codes) >> (8 * place)) & 255)


@kernel(inline=True)
def dequantised_tile(
    w: View[u8, 1], h: View[f16, 1], codes: index, high: index, scales: index, blocks: index, per: index,
    x: View[f32, 1], out: MutView[f32, 1], row: index, out_stride: index, column: index,
    *, bits: Const, style: Const, zero: Const, stride: Const, rows: Const,
):  # fmt: skip
    """Compute `rows` rows from `row` of one quantised panel."""
    total = Array[Vec[f32, 16], rows](0.0)
    for b in range(blocks):
        at = row * stride + b * 32
        for part in unroll(range(2)):
            d = Vec[f32, 16](0.0)
            m = Vec[f32, 16](0.0)
            if style == "halves":
                d = half_scale(w, h, scales, 2 * b + part)
                m = d * (-zero)
            else:
                d = scale_of(w, h, scales, b, per, style=style)
                m = shift_of(w, h, scales, b, per, d, style=style, zero=zero)
            for j in unroll(range(4)):
                c = Vec[u8, 64](0)
                if part == 0:
                    c = low_codes(w, codes, high, b, bits=bits, j=j)
                else:
                    c = high_codes(w, codes, high, b, bits=bits, j=j)
                for place in unroll(range(4)):
                    weight = fma(code_lane(c, place=place), d, m)
                    for r in unroll(range(rows)):
                        total[r] = fma(weight, Vec[f32, 16](x[at + r * stride + 16 * part + 4 * j + place]), total[r])
    for r in unroll(range(rows)):
        store(out, (row + r) * out_stride + column, total[r])


@kernel
def dequantised_rows(
    w: View[u8, 1], h: View[f16, 1], codes: index, high: index, scales: index, blocks: index, per: index,
    x: View[f32, 1], out: MutView[f32, 1], rows: index, out_stride: index, column: index,
    *, bits: Const, style: Const, zero: Const, stride: Const,
):  # fmt: skip
    """Compute all rows of one quantised panel, in tiles."""
    row = 0
    while row < rows:
        done = 0
        for height in unroll((4, 1)):
            if done == 0 and rows - row >= height:
                dequantised_tile(
                    w, h, codes, high, scales, blocks, per, x, out, row, out_stride, column,
                    bits=bits, style=style, zero=zero, stride=stride, rows=height,
                )  # fmt: skip
                done = height
        row += done


@kernel(inline=True)
def float_tile(
    w: View[W, 1], first: index, inputs: index, x: View[f32, 1], out: MutView[f32, 1], row: index, out_stride: index,
    column: index, *, stride: Const, rows: Const,
):  # fmt: skip
    """Compute `rows` rows from `row` of one panel of floats, which begins at element `first`."""
    even = Array[Vec[f32, 16], rows](0.0)
    odd = Array[Vec[f32, 16], rows](0.0)
    for k in range(0, inputs - 1, 2):
        if row == 0:
            prefetch(w, first + k * 16 + AHEAD)
            prefetch(w, first + k * 16 + AHEAD + 16)
        one = f32(load(w, first + k * 16, width=16))
        two = f32(load(w, first + k * 16 + 16, width=16))
        for r in unroll(range(rows)):
            even[r] = fma(one, Vec[f32, 16](x[(row + r) * stride + k]), even[r])
            odd[r] = fma(two, Vec[f32, 16](x[(row + r) * stride + k + 1]), odd[r])
    if inputs & 1 == 1:
        last = f32(load(w, first + (inputs - 1) * 16, width=16))
        for r in unroll(range(rows)):
            even[r] = fma(last, Vec[f32, 16](x[(row + r) * stride + inputs - 1]), even[r])
    for r in unroll(range(rows)):
        store(out, (row + r) * out_stride + column, even[r] + odd[r])


@kernel
def float_rows(
    w: View[W, 1], first: index, inputs: index, x: View[f32, 1], out: MutView[f32, 1], rows: index, out_stride: index,
    column: index, *, stride: Const,
):  # fmt: skip
    """Compute all rows of one panel of floats, in tiles."""
    row = 0
    while row < rows:
        done = 0
        for height in unroll(HEIGHTS):
            if done == 0 and rows - row >= height:
                float_tile(w, first, inputs, x, out, row, out_stride, column, stride=stride, rows=height)
                done = height
        row += done
