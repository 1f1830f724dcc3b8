"""Several packed matrices that share their input, in one parallel loop over panels; kinds may differ.

A matrix is a row of a table of i64: COLUMNS names what is in it. All matrices lie in one memory, which is passed as
bytes, f16, bf16 and f32. Each panel writes 16 columns of `out` (rows, out_stride) that no other panel writes.
"""

from hekla.kernels.llm.matrix_f32 import dequantised_rows, float_rows
from hekla.kernels.llm.matrix_i8 import panel_rows
from hekla.kernels.llm.panels import KINDS
from hekla.lang import Const, MutView, View, bf16, comptime, f16, f32, i8, i64, index, kernel, parallel, u8, unroll

COLUMNS = ("kind", "first", "panels", "inputs", "panel_bytes", "high", "scales", "per", "column")
KIND, FIRST, PANELS, INPUTS, PANEL_BYTES, HIGH, SCALES, PER, COLUMN = range(len(COLUMNS))


@comptime
def bits_of(kind):
    """Return the bits of a kind."""
    return KINDS[kind].bits


@comptime
def style_of(kind):
    """Return the style of a kind."""
    return KINDS[kind].style


@comptime
def zero_of(kind):
    """Return the code of weight 0."""
    return KINDS[kind].zero


@kernel
def one_panel(
    w: View[u8, 1], h: View[f16, 1], g: View[bf16, 1], f: View[f32, 1], table: View[i64, 2], which: index, panel: index,
    x: View[f32, 1], codes: View[i8, 1], scales: View[f32, 1], sums: View[f32, 1], half_sums: View[f32, 1],
    out: MutView[f32, 1], rows: index, out_stride: index, *, kinds: Const, stride: Const, exact: Const,
):  # fmt: skip
    """Compute the rows of one panel, whatever kind its matrix has."""
    at = index(table[which, FIRST]) + panel * index(table[which, PANEL_BYTES])
    high = at + index(table[which, HIGH])
    scale = at + index(table[which, SCALES])
    inputs = index(table[which, INPUTS])
    per = index(table[which, PER])
    column = index(table[which, COLUMN]) + panel * 16
    kind = table[which, KIND]
    for known in unroll(kinds):
        if kind == known:
            if style_of(known) == "float":
                if bits_of(known) == 32:
                    float_rows(f, at // 4, inputs, x, out, rows, out_stride, column, stride=stride)
                elif known == 9:
                    float_rows(h, at // 2, inputs, x, out, rows, out_stride, column, stride=stride)
                else:
                    float_rows(g, at // 2, inputs, x, out, rows, out_stride, column, stride=stride)
            elif exact:
                dequantised_rows(
                    w, h, at, high, scale, inputs // 32, per, x, out, rows, out_stride, column,
                    bits=bits_of(known), style=style_of(known), zero=zero_of(known), stride=stride,
                )  # fmt: skip
            else:
                panel_rows(
                    w, h, at, high, scale, inputs // 32, per, codes, scales, sums, half_sums,
                    out, rows, out_stride, column,
                    bits=bits_of(known), style=style_of(known), zero=zero_of(known), stride=stride,
                )  # fmt: skip


@kernel
def matrices(
    w: View[u8, 1], h: View[f16, 1], g: View[bf16, 1], f: View[f32, 1], table: View[i64, 2], first: index, count: index,
    x: View[f32, 1], codes: View[i8, 1], scales: View[f32, 1], sums: View[f32, 1], half_sums: View[f32, 1],
    out: MutView[f32, 1], rows: index, out_stride: index, *, kinds: Const, stride: Const, exact: Const,
):  # fmt: skip
    """Multiply `count` matrices from row `first` of the table by the rows of x."""
    total = 0
    for i in range(count):
        total += index(table[first + i, PANELS])
    for task in parallel(total, unproved="each panel writes its own 16 columns, all rows"):
        which = first
        panel = task
        while panel >= index(table[which, PANELS]):
            panel -= index(table[which, PANELS])
            which += 1
        one_panel(
            w, h, g, f, table, which, panel, x, codes, scales, sums, half_sums, out, rows, out_stride,
            kinds=kinds, stride=stride, exact=exact,
        )  # fmt: skip
