"""What adapters add to products of matrices: y += scale * b (a x), for each token by its sequence's slot.

Table (slots, matrices, 4) i64: first element of a (rank, inputs) among `lora`, first of b transposed (rank, outputs),
rank (0: none), bits of the scale as f32; b's rows are as wide as the matrix's panels.
Source:  LoRA, arXiv:2106.09685.
"""

from functools import partial

import numpy as np

from hekla.kernels.llm.matrices import COLUMN, COLUMNS, INPUTS, PANELS
from hekla.kernels.sizes import normal
from hekla.lang import (
    Const,
    MutView,
    Vec,
    View,
    bitcast,
    f32,
    fma,
    i32,
    i64,
    index,
    kernel,
    load,
    parallel,
    reduce_add,
    store,
)
from hekla.lang.sweep import Sweep


@kernel(inline=True)
def add_adapter(
    lora: View[f32, 1], a: index, b: index, rank: index, scale: f32, x: View[f32, 1], inputs: index,
    y: MutView[f32, 1], outputs: index,
):  # fmt: skip
    """y += scale * b (a x) for one row."""
    for r in range(rank):
        total = Vec[f32, 64](0.0)
        for i in range(0, inputs, 64):
            total = fma(
                load(lora, a + r * inputs + i, width=64, count=inputs - i),
                load(x, i, width=64, count=inputs - i),
                total,
            )
        share = Vec[f32, 16](reduce_add(total) * scale)
        for o in range(0, outputs, 16):
            store(y, o, fma(load(lora, b + r * outputs + o, width=16), share, load(y, o, width=16)))


@kernel
def add_adapters(
    table: View[i64, 2], first: index, count: index, adapter: View[i32, 1], owners: View[i32, 1], lora: View[f32, 1],
    lora_table: View[i64, 3], x: View[f32, 1], y: MutView[f32, 1], rows: index, y_stride: index, *, stride: Const,
):  # fmt: skip
    """Add what the adapters of the rows' sequences give, for some matrices that share their input."""
    if len(lora_table) > 0:
        for i in parallel(rows, unproved="each iteration writes the row of one token"):
            slot = index(adapter[index(owners[i])])
            if slot >= 0:
                for m in range(count):
                    rank = index(lora_table[slot, first + m, 2])
                    if rank > 0:
                        inputs = index(table[first + m, INPUTS])
                        outputs = index(table[first + m, PANELS]) * 16
                        at = i * y_stride + index(table[first + m, COLUMN])
                        scale = bitcast(f32, i32(lora_table[slot, first + m, 3]))
                        add_adapter(
                            lora, index(lora_table[slot, first + m, 0]), index(lora_table[slot, first + m, 1]), rank,
                            scale, x[i * stride : i * stride + inputs], inputs, y[at : at + outputs], outputs,
                        )  # fmt: skip


def reference_adapters(table, first, count, adapter, owners, lora, lora_table, x, y, rows, y_stride, stride):
    """Say it in NumPy."""
    for i in range(rows):
        slot = adapter[owners[i]]
        for m in range(first, first + count):
            a, b, rank, bits = lora_table[slot, m] if slot >= 0 else (0, 0, 0, 0)
            inputs, outputs = int(table[m, INPUTS]), int(table[m, PANELS]) * 16
            given = x.reshape(-1, stride)[i, :inputs].astype(np.float64)
            inner = lora[a : a + rank * inputs].reshape(rank, inputs) @ given
            scale = np.int32(bits).view(np.float32)
            at = int(table[m, COLUMN])
            y.reshape(-1, y_stride)[i, at : at + outputs] += (
                scale * inner @ lora[b : b + rank * outputs].reshape(rank, outputs)
            )


def cases(rng):
    """Two slots, one of them without one of the matrices; a row without an adapter; no slots at all."""
    table = np.zeros((2, len(COLUMNS)), np.int64)
    table[:, INPUTS], table[:, PANELS], table[:, COLUMN] = 20, (1, 2), (0, 16)
    bits = int(np.float32(0.5).view(np.int32))
    slots = np.array([[[0, 60, 3, bits], [0, 0, 0, 0]], [[10, 30, 1, bits], [0, 110, 2, bits]]], np.int64)
    made = []
    for held in (slots, slots[:0]):
        adapter = np.array([1, -1, 0] if len(held) else [-1, -1, -1], np.int32)
        owners = np.array([0, 1, 2, 2], np.int32)
        made.append(
            (table, 0, 2, adapter, owners, normal(rng, 200), held, normal(rng, 4 * 32), normal(rng, 4 * 48), 4, 48)
        )
    return made


SWEEPS = (Sweep(add_adapters, partial(reference_adapters, stride=32), cases, 1e-5, 1e-5, (("stride", 32),)),)
