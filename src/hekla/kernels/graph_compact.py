"""Small blocks: a node's own code and the numbers of its neighbours, for where memory matters more than speed.

A hop then reads each neighbour's code where the neighbour lies: many waits, but they overlap. In 4-byte words, for
width w:

    offset           words          meaning
    0                1              f32: what the node adds to a squared distance
    1                1              f32: squared length of the vector the code stands for
    2                1              f32: size of a step of the code; 0 for 16 bits
    3                1              neighbours in use
    4                w own / 32     own code: of 16 bits f16; of 8 a byte, step (byte - 128); of 4 half a byte, step
    (half - 7.5), of each
                                    64 coordinates the first 32 in the low halves of 32 bytes and the last 32 in the
                                    high ones
    4 + w own / 32   R              numbers of the neighbours; 2^32 - 1 where there is none

Shapes:  wide (n, words) u32 blocks (`graph_layout`) -> compact (n, words) u32; query (w,) f32, cut (w,) i8, sums (2,)
         f32 of
         `graph_estimate` -> squared distances.
Errors:  of 8 bits 0.4 % of a typical squared distance, of 4 bits 7 %, about; the cut of the query to 8 bits adds as
         much as 8 bits of
         the code do, and only for the choice of what to read.
Source:  Aguerrebere et al., "Similarity search in the blink of an eye with compressed indices", VLDB 2023 (LVQ);
         without
         its offset, which a random rotation makes 0.
"""

import numpy as np

from hekla.kernels.graph_encode import own_part, own_vectors, sample_blocks
from hekla.kernels.graph_layout import ADDED_AT, COUNT_AT, DEGREE, HEADER, neighbours_at
from hekla.kernels.sizes import normal
from hekla.lang import (
    Array,
    Const,
    MutView,
    Vec,
    View,
    bitcast,
    buffer,
    dot4,
    f16,
    f32,
    fma,
    i8,
    i32,
    index,
    kernel,
    load,
    parallel,
    prefetch,
    reduce_add,
    reduce_max,
    round_even,
    sqrt,
    store,
    u8,
    u32,
    unroll,
)
from hekla.lang.sweep import Sweep

LANES, LINE, BYTES = 16, 16, 64
SMALL_HEADER = 4
SMALL_ADDED_AT, SQUARE_AT, STEP_AT, SMALL_COUNT_AT = 0, 1, 2, 3
OWN_BITS = (16, 8, 4)


def compact_words(width: int, own: int) -> int:
    """Return the words of a small block."""
    return SMALL_HEADER + width * own // 32 + DEGREE


@kernel(inline=True)
def small_neighbours_at(width: index, *, own: Const) -> index:
    return SMALL_HEADER + width * own // 32


@kernel(inline=True)
def code_part(blocks: View[u32, 2], node: index, i: index, *, own: Const) -> Vec[f32, 32]:
    """Return coordinates i to i + 31 of a code, i a multiple of 32, in steps (of 16 bits: as they are)."""
    if own == 16:
        return f32(bitcast(Vec[f16, 32], load(blocks, node, SMALL_HEADER + i // 2, width=16)))
    if own == 8:
        return f32(bitcast(Vec[u8, 32], load(blocks, node, SMALL_HEADER + i // 4, width=8))) - 128.0
    halves = bitcast(Vec[u8, 32], load(blocks, node, SMALL_HEADER + i // 64 * 8, width=8))
    if i % 64 == 0:
        return f32(halves & 15) - 7.5
    return f32(halves >> 4) - 7.5


@kernel(inline=True)
def small_distance(blocks: View[u32, 2], node: index, query: View[f32, 1], *, own: Const) -> f32:
    """Return |q - x|^2 for the vector x that the code stands for, the query as it is."""
    step = f32(1.0)
    if own != 16:
        step = bitcast(f32, blocks[node, STEP_AT])
    total = Vec[f32, 32](0.0)
    for i in range(0, len(query), 64):
        for p in unroll(range(2)):
            d = code_part(blocks, node, i + 32 * p, own=own) * step - load(query, i + 32 * p, width=32)
            total = fma(d, d, total)
    return reduce_add(total)


@kernel(inline=True)
def small_estimate(
    blocks: View[u32, 2],
    node: index,
    query: View[f32, 1],
    cut: View[i8, 1],
    sums: View[f32, 1],
    square: f32,
    *,
    own: Const,
) -> f32:
    """Return about |q - x|^2, from the query cut to bytes where the code has bytes; square: |q|^2."""
    if own == 16:
        return small_distance(blocks, node, query, own=own)
    width = len(query)
    total = Vec[i32, LANES](0)
    if own == 8:
        for i in range(0, width, BYTES):
            code = bitcast(Vec[u8, BYTES], load(blocks, node, SMALL_HEADER + i // 4, width=LANES))
            total = dot4(total, code, load(cut, i, width=BYTES))
    else:
        low = Vec[i32, LANES // 2](0)
        for i in range(0, width, BYTES):
            halves = bitcast(Vec[u8, 32], load(blocks, node, SMALL_HEADER + i // 64 * 8, width=8))
            low = dot4(low, halves & 15, load(cut, i, width=32))
            low = dot4(low, halves >> 4, load(cut, i + 32, width=32))
        total[0] = reduce_add(low)
    middle = sums[1] * (128.0 if own == 8 else 7.5)
    product = (f32(reduce_add(total)) - middle) * sums[0] * bitcast(f32, blocks[node, STEP_AT])
    return square + bitcast(f32, blocks[node, SQUARE_AT]) - 2.0 * product


@kernel
def cut_query(query: View[f32, 1], sums: View[f32, 1], cut: MutView[i8, 1]):
    """Write the query in whole steps of sums[0], as `graph_estimate.bit_planes` has it."""
    per_step = 1.0 / sums[0]
    for i in range(0, len(query), 64):
        store(cut, i, i8(round_even(load(query, i, width=64) * per_step)))


@kernel(inline=True)
def fetch_small(blocks: View[u32, 2], node: index, width: index, *, own: Const):
    """Fetch what an estimate reads."""
    for i in range(0, SMALL_HEADER + width * own // 32 + LINE - 1, LINE):
        prefetch(blocks, node, i)


@kernel(inline=True)
def compact_block(wide: View[u32, 2], node: index, width: index, small: MutView[u32, 2], *, own: Const):
    for j in range(DEGREE):
        small[node, small_neighbours_at(width, own=own) + j] = wide[node, neighbours_at(width) + j]
    small[node, SMALL_ADDED_AT] = wide[node, ADDED_AT]
    small[node, SMALL_COUNT_AT] = wide[node, COUNT_AT]
    largest = Vec[f32, LANES](0.0)
    for i in range(0, width, LANES):
        largest = max(largest, abs(own_part(wide, node, i)))
    top = reduce_max(largest)
    step = f32(0.0)
    squares = Vec[f32, LANES](0.0)
    if own == 16:
        for i in range(0, width, LANES):
            v = own_part(wide, node, i)
            squares = fma(v, v, squares)
            store(small, node, SMALL_HEADER + i // 2, load(wide, node, HEADER + i // 2, width=8))
    elif own == 8:
        step = top / 127.0
        per_step = 1.0 / max(step, 1e-30)
        for i in range(0, width, LANES):
            whole = round_even(own_part(wide, node, i) * per_step)
            v = whole * step
            squares = fma(v, v, squares)
            store(small, node, SMALL_HEADER + i // 4, bitcast(Vec[u32, 4], u8(whole + 128.0)))
    else:
        # levels of a half at -7.5 to 7.5 steps: what is larger is cut, at 2.7 times the typical size
        for i in range(0, width, LANES):
            v = own_part(wide, node, i)
            squares = fma(v, v, squares)
        step = min(top / 7.5, sqrt(reduce_add(squares) / f32(width)) * (2.7 / 7.5))
        per_step = 1.0 / max(step, 1e-30)
        squares = Vec[f32, LANES](0.0)
        for i in range(0, width, 64):
            for p in unroll(range(2)):
                low = max(min(round_even(own_part(wide, node, i + LANES * p) * per_step + 7.5), 15.0), 0.0)
                high = max(min(round_even(own_part(wide, node, i + 32 + LANES * p) * per_step + 7.5), 15.0), 0.0)
                a = (low - 7.5) * step
                b = (high - 7.5) * step
                squares = fma(b, b, fma(a, a, squares))
                store(small, node, SMALL_HEADER + i // 64 * 8 + 4 * p, bitcast(Vec[u32, 4], u8(low) | u8(high) << 4))
    small[node, STEP_AT] = bitcast(u32, step)
    small[node, SQUARE_AT] = bitcast(u32, reduce_add(squares))


@kernel
def compact_blocks(wide: View[u32, 2], width: index, threads: index, small: MutView[u32, 2], *, own: Const):
    n = wide.shape[0]
    for t in parallel(threads, unproved="a thread writes the rows of its own share"):
        for node in range(t * n // threads, (t + 1) * n // threads):
            compact_block(wide, node, width, small, own=own)


@kernel
def compact_and_measure(
    wide: View[u32, 2],
    query: View[f32, 1],
    step: f32,
    threads: index,
    exact: MutView[f32, 1],
    estimated: MutView[f32, 1],
    names: MutView[u32, 2],
    *,
    own: Const,
):
    """Make small blocks and measure the query's distances both ways: what the sweep compares."""
    n = wide.shape[0]
    width = len(query)
    words = SMALL_HEADER + width * own // 32 + DEGREE
    cut = buffer(i8, width)
    sums = Array[f32, 2](0.0)
    sums[0] = step
    square = f32(0.0)
    small = names[:, 0:words]
    compact_blocks(wide, width, threads, small, own=own)
    cut_query(query, sums.view(), cut.mut())
    for i in range(width):
        sums[1] += f32(cut[i])
        square += query[i] * query[i]
    for node in range(n):
        exact[node] = small_distance(small, node, query, own=own)
        estimated[node] = small_estimate(small, node, query, cut.view(), sums.view(), square, own=own)
    for node in range(n):
        for j in range(SMALL_HEADER + width * own // 32):
            names[node, j] = 0


def reference_compact_and_measure(own):
    """Return the NumPy form for a number of bits."""

    def reference(wide, query, step, threads, exact, estimated, names):
        width = len(query)
        ids_at = HEADER + width // 2
        cut = np.round(query / step).astype(np.int64)
        for node, vector in enumerate(own_vectors(wide, width).astype(np.float32)):
            if own == 16:
                stands_for = vector.astype(np.float64)
            elif own == 8:
                size = np.abs(vector).max() / np.float32(127)
                stands_for = np.round(vector * (np.float32(1) / max(size, np.float32(1e-30)))) * np.float64(size)
            else:
                size = min(np.abs(vector).max() / 7.5, np.sqrt((vector**2).mean()) * (2.7 / 7.5))
                levels = np.clip(np.round(vector / max(size, 1e-30) + 7.5), 0, 15)
                stands_for = (levels - 7.5) * size
            exact[node] = ((query - stands_for) ** 2).sum()
            product = cut @ stands_for * step
            whole = (query.astype(np.float64) ** 2).sum() + (stands_for**2).sum() - 2 * product
            estimated[node] = exact[node] if own == 16 else whole
            at = SMALL_HEADER + width * own // 32
            names[node, at : at + DEGREE] = wide[node, ids_at : ids_at + DEGREE]

    return reference


def cases(own):
    """A few blocks of two widths; a vector of zeros."""

    def make(rng):
        made = []
        for width in (64, 192):
            wide = sample_blocks(rng, 4, width, 1)
            own_vectors(wide, width)[1] = 0
            query = normal(rng, (width,))
            made.append((
                wide, query, np.float32(np.abs(query).max() / 127), 2, np.zeros(4, np.float32), np.zeros(4, np.float32),
                np.zeros((4, compact_words(width, own)), np.uint32),
            ))  # fmt: skip
        return made

    return make


SWEEPS = tuple(
    Sweep(
        compact_and_measure,
        reference_compact_and_measure(own),
        cases(own),
        1e-3,
        2e-2,
        (("own", own),),
        f"compact_{own}",
    )
    for own in OWN_BITS
)
