"""Rows of a packed matrix as floats: the embedding of a token, from the same panels the head is computed with.

Shapes:  row `token` of the matrix `which` of the table -> x (inputs,) f32, times a factor.
Errors:  none: exactly what codes and scales mean, rounded once more by the factor.
"""

from functools import partial

import numpy as np

from hekla.kernels.llm.matrices import FIRST, HIGH, INPUTS, KIND, PANEL_BYTES, PER, SCALES
from hekla.kernels.llm.panel_values import matrix_values, memory_of, random_matrix, views_of
from hekla.kernels.llm.panels import KINDS
from hekla.lang import Const, MutView, View, bf16, bitcast, f16, f32, i8, i64, index, kernel, u8, unroll
from hekla.lang.sweep import Sweep


@kernel(inline=True)
def code_at(w: View[u8, 1], codes: index, high: index, lane: index, k: index, *, bits: Const) -> u8:
    """Return the code of input k of one output of a panel."""
    block = k // 32
    group = (k % 32) // 4
    byte = lane * 4 + k % 4
    if bits == 8:
        return w[codes + block * 512 + group * 64 + byte]
    both = w[codes + block * 256 + (group % 4) * 64 + byte]
    code = both & 15
    if group >= 4:
        code = both >> 4
    if bits == 5:
        code = code | (((w[high + block * 64 + byte] >> u8(group)) & 1) << 4)
    if bits == 6:
        code = code | (((w[high + block * 128 + (group // 4) * 64 + byte] >> u8(2 * (group % 4))) & 3) << 4)
    return code


@kernel(inline=True)
def pair_at(
    w: View[u8, 1], h: View[f16, 1], scales: index, lane: index, k: index, per: index, *, style: Const, zero: Const,
    is_shift: Const,
) -> f32:  # fmt: skip
    """Return d, or m, of input k of one output."""
    block = k // 32
    d = f32(0.0)
    m = f32(0.0)
    if style == "plain":
        d = f32(h[(scales + block * 32) // 2 + lane])
        m = d * (-zero)
    elif style == "affine":
        d = f32(h[(scales + block * 64) // 2 + lane])
        m = f32(h[(scales + block * 64 + 32) // 2 + lane])
    elif style == "super":
        at = scales + (block // 8) * 320
        d = f32(h[at // 2 + lane]) * f32(w[at + 64 + (block % 8) * 32 + lane])
        m = -(f32(h[at // 2 + 16 + lane]) * f32(w[at + 80 + (block % 8) * 32 + lane]))
    elif style == "halves":
        at2 = scales + (k // 256) * 288
        d = f32(h[at2 // 2 + lane]) * f32(bitcast(i8, w[at2 + 32 + ((k % 256) // 16) * 16 + lane]))
        m = d * (-zero)
    else:
        at3 = scales + (block >> per) * 48
        d = f32(h[at3 // 2 + lane])
        m = -(d * f32(w[at3 + 32 + lane]))
    return m if is_shift else d


@kernel
def packed_row(
    w: View[u8, 1], h: View[f16, 1], g: View[bf16, 1], f: View[f32, 1], table: View[i64, 2], which: index, token: index,
    factor: f32, x: MutView[f32, 1], *, kinds: Const,
):  # fmt: skip
    """Write one row of a packed matrix."""
    at = index(table[which, FIRST]) + (token // 16) * index(table[which, PANEL_BYTES])
    high = at + index(table[which, HIGH])
    scales = at + index(table[which, SCALES])
    per = index(table[which, PER])
    lane = token % 16
    kind = table[which, KIND]
    for known in unroll(kinds):
        if kind == known:
            for k in range(index(table[which, INPUTS])):
                if KINDS[known].name == "F32":
                    x[k] = f[at // 4 + k * 16 + lane] * factor
                elif KINDS[known].name == "F16":
                    x[k] = f32(h[at // 2 + k * 16 + lane]) * factor
                elif KINDS[known].name == "BF16":
                    x[k] = f32(g[at // 2 + k * 16 + lane]) * factor
                else:
                    code = f32(code_at(w, at, high, lane, k, bits=KINDS[known].bits))
                    style: Const = KINDS[known].style
                    zero: Const = KINDS[known].zero
                    d = pair_at(w, h, scales, lane, k, per, style=style, zero=zero, is_shift=False)
                    m = pair_at(w, h, scales, lane, k, per, style=style, zero=zero, is_shift=True)
                    x[k] = (code * d + m) * factor


def reference_row(w, h, g, f, table, which, token, factor, x):
    """Say it in NumPy."""
    x[:] = matrix_values(w, table[which])[token] * np.float32(factor)


def cases(number, rng):
    """Rows of the first and the second panel."""
    memory, table = memory_of([random_matrix(rng, number, 32, 256)])
    return [(*views_of(memory), table, 0, token, 1.5, np.zeros(256, np.float32)) for token in (0, 17)]


SWEEPS = tuple(
    Sweep(packed_row, reference_row, partial(cases, n), 1e-6, 1e-6, (("kinds", (n,)),), f"packed_row {kind.name}")
    for n, kind in enumerate(KINDS)
)
