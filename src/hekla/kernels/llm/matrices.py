"""Several packed matrices that share their input, in one parallel loop over panels; kinds may differ.

A matrix is a row of a table of i64: COLUMNS names what is in it; 2 to the `per` blocks share a scale.
 All matrices lie in one memory, which is passed as
bytes, f16, bf16 and f32. Each panel writes 16 columns of `out` (rows, out_stride) that no other panel writes.
"""

from functools import partial

import numpy as np

from hekla.kernels.llm.activations_i8 import reference_quantise
from hekla.kernels.llm.matrix_f32 import dequantised_rows, float_rows
from hekla.kernels.llm.matrix_i8 import panel_rows
from hekla.kernels.llm.panel_values import matrix_values, memory_of, random_matrix, views_of
from hekla.kernels.llm.panels import KINDS, NUMBERS
from hekla.kernels.sizes import normal
from hekla.lang import Const, MutView, View, bf16, f16, f32, i8, i64, index, kernel, parallel, u8, unroll
from hekla.lang.sweep import Sweep

COLUMNS = ("kind", "first", "panels", "inputs", "panel_bytes", "high", "scales", "per", "column")
KIND, FIRST, PANELS, INPUTS, PANEL_BYTES, HIGH, SCALES, PER, COLUMN = range(len(COLUMNS))


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
            style: Const = KINDS[known].style
            bits: Const = KINDS[known].bits
            zero: Const = KINDS[known].zero
            if style == "float":
                if bits == 32:
                    float_rows(f, at // 4, inputs, x, out, rows, out_stride, column, stride=stride)
                elif KINDS[known].name == "F16":
                    float_rows(h, at // 2, inputs, x, out, rows, out_stride, column, stride=stride)
                else:
                    float_rows(g, at // 2, inputs, x, out, rows, out_stride, column, stride=stride)
            elif exact:
                dequantised_rows(
                    w, h, at, high, scale, inputs // 32, per, x, out, rows, out_stride, column,
                    bits=bits, style=style, zero=zero, stride=stride,
                )  # fmt: skip
            else:
                panel_rows(
                    w, h, at, high, scale, inputs // 32, per, codes, scales, sums, half_sums,
                    out, rows, out_stride, column,
                    bits=bits, style=style, zero=zero, stride=stride,
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


def reference_matrices(
    w, h, g, f, table, first, count, x, codes, scales, sums, half_sums, out, rows, out_stride, stride, exact
):  # fmt: skip
    """Say it in NumPy."""
    given = x.reshape(-1, stride)[:rows]
    rounded = (codes.reshape(-1, stride // 32, 32) * scales.reshape(-1, stride // 32, 1)).reshape(-1, stride)[:rows]
    result = out.reshape(-1, out_stride)
    for row in table[first : first + count]:
        weights = matrix_values(w, row).astype(np.float64)
        inputs, column = int(row[INPUTS]), int(row[COLUMN])
        used = given if exact or KINDS[row[KIND]].is_float else rounded
        result[:rows, column : column + len(weights)] = used[:, :inputs] @ weights.T


def product_cases(numbers, inputs, rng, heights=(1, 2, 7)):
    """Two matrices of each kind side by side, at heights around the tiles."""
    made = []
    for rows in heights:
        matrices_ = [random_matrix(rng, n, 16 * (i + 1), inputs, 16 * i * (i + 1) // 2) for i, n in enumerate(numbers)]
        memory, table = memory_of(matrices_)
        stride, outputs = inputs + 32, sum(16 * int(row[PANELS]) for row in table)
        x = normal(rng, (rows, stride))
        codes, blocks = np.zeros((rows, stride), np.int8), stride // 32
        scales, sums, halves = (np.zeros(rows * blocks * n, np.float32) for n in (1, 1, 2))
        for i in range(rows):
            at = slice(i * blocks, (i + 1) * blocks)
            reference_quantise(x[i], codes[i], scales[at], sums[at], halves[2 * i * blocks : 2 * (i + 1) * blocks])
        # the table is copied with the memory, whose four views are one array to the kernel
        made.append(
            (
                *views_of(memory), table, 0, len(table), x.reshape(-1), codes.reshape(-1), scales, sums, halves,
                np.zeros(rows * outputs, np.float32), rows, outputs,
            )
        )  # fmt: skip
    return made


def _sweep(names, inputs, exact):
    numbers = tuple(NUMBERS[name] for name in names)
    named = (("exact", exact), ("kinds", numbers), ("stride", inputs + 32))
    return Sweep(
        matrices,
        partial(reference_matrices, stride=inputs + 32, exact=exact),
        partial(product_cases, numbers, inputs),
        3e-5,
        3e-4,
        named,
        f"matrices {' '.join(names)}{' exact' if exact else ''}",
    )


SWEEPS = (
    _sweep(("Q4_0", "Q4_1"), 64, False),
    _sweep(("Q5_0", "Q5_1"), 64, False),
    _sweep(("Q8_0", "AWQ4"), 64, False),
    _sweep(("Q4_K", "Q5_K"), 256, False),
    _sweep(("Q6_K",), 256, False),
    _sweep(("F16", "BF16", "F32"), 33 - 1, False),
    _sweep(("Q4_0", "Q5_1"), 64, True),
    _sweep(("Q4_K", "Q6_K"), 256, True),
    _sweep(("Q5_0", "Q8_0", "AWQ4"), 64, True),
)
