"""What packed panels mean, in NumPy: the reference of every kernel that reads them, and panels to try them at."""

import ml_dtypes
import numpy as np

from hekla.kernels.llm.panels import BLOCK, KINDS, LANES, SUPER, panel_layout

FLOATS = {"F16": np.float16, "BF16": ml_dtypes.bfloat16, "F32": np.float32}
COLUMNS = 9


def codes_of(kind, panel, layout, inputs):
    """Return the codes (16, inputs) of one panel (bytes,) u8."""
    blocks = inputs // BLOCK
    codes = panel[: layout.high].reshape(blocks, -1, LANES, 4)  # (blocks, vectors, 16, 4)
    if kind.bits != 8:
        codes = np.concatenate([codes & 15, codes >> 4], axis=1)
        high = panel[layout.high : layout.scales].reshape(blocks, -1, LANES, 4)
        if kind.bits == 5:
            bits = [(high[:, 0] >> g) & 1 for g in range(8)]
            codes = codes | np.stack(bits, axis=1) << 4
        if kind.bits == 6:
            bits = [(high[:, g // 4] >> (2 * (g % 4))) & 3 for g in range(8)]
            codes = codes | np.stack(bits, axis=1) << 4
    return codes.transpose(2, 0, 1, 3).reshape(LANES, inputs).astype(np.float32)


def pairs_of(kind, scales, inputs, group):
    """Return d and m, each (16, inputs) f32, of one panel's scales (bytes,) u8."""

    def halves(part):
        return np.ascontiguousarray(part).view(np.float16).astype(np.float32).T

    if kind.style == "plain":
        d, per = halves(scales[:inputs].reshape(-1, 32)), 32
        m = -kind.zero * d
    elif kind.style == "affine":
        both = scales[: 2 * inputs].reshape(-1, 64)
        d, m, per = halves(both[:, :32]), halves(both[:, 32:]), 32
    elif kind.style == "super":
        by_super = scales[: inputs // SUPER * 320].reshape(-1, 320)
        fine = by_super[:, 64:].reshape(-1, 8, 2, LANES).astype(np.float32)
        d = (halves(by_super[:, :32]).T[:, None] * fine[:, :, 0]).reshape(-1, LANES).T
        m = -(halves(by_super[:, 32:64]).T[:, None] * fine[:, :, 1]).reshape(-1, LANES).T
        per = 32
    elif kind.style == "halves":
        by_super = scales[: inputs // SUPER * 288].reshape(-1, 288)
        fine = by_super[:, 32:].view(np.int8).reshape(-1, 16, LANES).astype(np.float32)
        d = (halves(by_super[:, :32]).T[:, None] * fine).reshape(-1, LANES).T
        m, per = -kind.zero * d, 16
    else:
        by_group = scales[: inputs // group * 48].reshape(-1, 48)
        d, per = halves(by_group[:, :32]), group
        m = -d * by_group[:, 32:].T.astype(np.float32)
    return np.repeat(d, per, axis=1), np.repeat(m, per, axis=1)


def panel_values(number, panel, inputs, group):
    """Return the weights (16, inputs) f32 of one panel (bytes,) u8 of a kind."""
    kind = KINDS[number]
    if kind.is_float:
        size = inputs * LANES * kind.bits // 8
        return panel[:size].view(FLOATS[kind.name]).reshape(inputs, LANES).T.astype(np.float32)
    layout = panel_layout(kind, inputs, group)
    d, m = pairs_of(kind, panel[layout.scales :], inputs, group)
    return codes_of(kind, panel, layout, inputs) * d + m


def matrix_values(w, row):
    """Return the weights (outputs, inputs) f32 of the matrix a row of the table stands for."""
    number, first, panels, inputs, size, _, _, per, _ = (int(v) for v in row)
    cut = w[first : first + panels * size].reshape(panels, size)
    return np.concatenate([panel_values(number, p, inputs, 32 << per) for p in cut])


def random_matrix(rng, number, outputs, inputs, column=0, group=64):
    """Return (packed bytes, row of the table) of random weights of a kind."""
    kind, panels = KINDS[number], outputs // LANES
    layout = panel_layout(kind, inputs, group)
    packed = np.zeros((panels, layout.bytes), np.uint8)
    if kind.is_float:
        size = inputs * LANES * kind.bits // 8
        values = rng.normal(size=(panels, inputs * LANES)).astype(FLOATS[kind.name])
        packed[:, :size] = values.view(np.uint8).reshape(panels, -1)
    else:
        packed[:, : layout.scales] = rng.integers(0, 256, (panels, layout.scales), dtype=np.uint8)
        scales = rng.uniform(0.01, 0.02, (panels, (layout.bytes - layout.scales) // 2)).astype(np.float16)
        packed[:, layout.scales :] = scales.view(np.uint8)
    per = (group // BLOCK).bit_length() - 1 if kind.style == "grouped" else 0
    row = [number, 0, panels, inputs, layout.bytes, layout.high, layout.scales, per, column]
    assert len(row) == COLUMNS
    return packed.reshape(-1), row


def memory_of(matrices):
    """Return (bytes, table) of several packed matrices, one after the other."""
    table, pieces, at = [], [], 0
    for packed, row in matrices:
        table.append([row[0], at, *row[2:]])
        pieces.append(packed)
        at += len(packed)
    whole = np.zeros(at + 64, np.uint8)
    start = -whole.ctypes.data % 64
    memory = whole[start : start + at]
    memory[:] = np.concatenate(pieces)
    return memory, np.array(table, np.int64)


def views_of(memory):
    """Return the memory as u8, f16, bf16 and f32."""
    return memory, memory.view(np.float16), memory.view(ml_dtypes.bfloat16), memory.view(np.float32)
