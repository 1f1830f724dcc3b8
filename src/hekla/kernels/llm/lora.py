"""What adapters add to products of matrices: y += scale * b (a x), for each token by its sequence's slot.

Table (slots, matrices, 4) i64: first element of a (rank, inputs) among `lora`, first of b transposed (rank, outputs),
rank (0: none), bits of the scale as f32; b's rows are as wide as the matrix's panels.
Source:  LoRA, arXiv:2106.09685.
"""

from hekla.kernels.llm.matrices import COLUMN, INPUTS, PANELS
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
