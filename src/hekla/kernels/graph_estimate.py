"""Estimates of the distances from a query to all neighbours of a node, from the codes in the node's block.

Shapes:  query (w,) f32, rotated and scaled as the own vectors are; planes (w / 64 * 8,) u64: for each 64 coordinates
         its 8 bits;
         sums (2,) f32: the size of a step, the sum of the coordinates in steps; blocks (n, words) u32; out (R,) f32.
Method:  the query is cut to whole numbers of 8 bits, so that its product with one bit plane of the codes is the
         popcounts
         of eight ands: no multiplication, no table, eight neighbours in a register.
Errors:  of the query's cut 0.004 of its largest coordinate; of the codes see `graph_encode`.
Source:  Gao and Long, "RaBitQ", SIGMOD 2024, section 3.3.2.
"""

import numpy as np

from hekla.kernels.graph_encode import own_part, own_vectors, reference_encode_blocks, sample_blocks
from hekla.kernels.graph_layout import DEGREE, HEADER, codes_at, constants_at, factors_at
from hekla.kernels.sizes import normal
from hekla.lang import (
    Array,
    Const,
    MutView,
    Vec,
    View,
    any_lane,
    bitcast,
    buffer,
    f32,
    fma,
    i32,
    i64,
    index,
    iota,
    kernel,
    load,
    popcount,
    reduce_add,
    reduce_max,
    reduce_or,
    round_even,
    select,
    store,
    u32,
    u64,
    unroll,
)
from hekla.lang.sweep import Sweep

LANES, EIGHT, WORD = 16, 8, 64
PLANES = 8  # bits of a query's coordinate, with its sign
GROUPS = DEGREE // EIGHT


@kernel
def bit_planes(query: View[f32, 1], planes: MutView[u64, 1], sums: MutView[f32, 1]):
    """Cut a rotated query to whole numbers of 8 bits; sums gets the size of a step, and their sum."""
    width = len(query)
    largest = Vec[f32, LANES](1e-30)
    for i in range(0, width, LANES):
        largest = max(largest, abs(load(query, i, width=LANES)))
    step = reduce_max(largest) / 127.0
    per_step = 1.0 / step
    total = Vec[i32, LANES](0)
    lane_bits = u32(1) << iota(u32, width=LANES)
    for w in range(width // WORD):
        halves = Array[Vec[u32, LANES], 2 * PLANES](0)
        for c in unroll(range(4)):
            v = i32(round_even(load(query, w * WORD + c * LANES, width=LANES) * per_step))
            total += v
            bits = bitcast(u32, v)
            for j in unroll(range(PLANES)):
                found = select((bits & (1 << j)) != 0, lane_bits << ((c % 2) * LANES), Vec[u32, LANES](0))
                halves[2 * j + c // 2] = halves[2 * j + c // 2] | found
        for j in unroll(range(PLANES)):
            planes[w * PLANES + j] = u64(reduce_or(halves[2 * j])) | u64(reduce_or(halves[2 * j + 1])) << 32
    sums[0] = step
    sums[1] = f32(reduce_add(total))


@kernel(inline=True)
def own_distance(blocks: View[u32, 2], node: index, query: View[f32, 1]) -> f32:
    """Return |q - c|^2."""
    a = Vec[f32, LANES](0.0)
    b = Vec[f32, LANES](0.0)
    for i in range(0, len(query), 2 * LANES):
        d = own_part(blocks, node, i) - load(query, i, width=LANES)
        a = fma(d, d, a)
        e = own_part(blocks, node, i + LANES) - load(query, i + LANES, width=LANES)
        b = fma(e, e, b)
    return reduce_add(a + b)


@kernel(inline=True)
def estimates(
    blocks: View[u32, 2],
    node: index,
    planes: View[u64, 1],
    sums: View[f32, 1],
    width: index,
    square: f32,
    out: MutView[f32, 1],
    *,
    bits: Const,
):
    """Estimate the squared distances to all neighbours of a node."""
    words = width // WORD
    products = Array[Vec[u64, EIGHT], GROUPS](0)
    for b in unroll(range(bits)):
        for w in range(words):
            x = Array[Vec[u64, EIGHT], GROUPS](0)
            t = Array[Vec[u64, EIGHT], GROUPS](0)
            top = planes[w * PLANES + PLANES - 1]
            for g in unroll(range(GROUPS)):
                at = codes_at(width) + 2 * ((b * words + w) * DEGREE + g * EIGHT)
                x[g] = bitcast(Vec[u64, EIGHT], load(blocks, node, at, width=LANES))
                t[g] = Vec[u64, EIGHT](0) - popcount(x[g] & top)
            for j in unroll(range(PLANES - 2, -1, -1)):
                plane = planes[w * PLANES + j]
                for g in unroll(range(GROUPS)):
                    t[g] = t[g] + t[g] + popcount(x[g] & plane)
            for g in unroll(range(GROUPS)):
                products[g] = products[g] + (t[g] << b)
    middle = sums[1] * (f32((1 << bits) - 1) * 0.5)
    for g in unroll(range(GROUPS)):
        real = (f32(bitcast(i64, products[g])) - middle) * sums[0]
        constant = bitcast(Vec[f32, EIGHT], load(blocks, node, constants_at(width) + g * EIGHT, width=EIGHT))
        factor = bitcast(Vec[f32, EIGHT], load(blocks, node, factors_at(width) + g * EIGHT, width=EIGHT))
        store(out, g * EIGHT, square + constant - factor * real)


@kernel(inline=True)
def nearer(found: View[f32, 1], limit: f32) -> u32:
    """Return one bit for each neighbour whose estimate is below the limit."""
    low = load(found, 0, width=LANES) < limit
    high = load(found, LANES, width=LANES) < limit
    lane_bits = u32(1) << iota(u32, width=LANES)
    none = Vec[u32, LANES](0)
    if any_lane(low | high):
        return reduce_or(select(low, lane_bits, none) | select(high, lane_bits << LANES, none))
    return 0


@kernel
def estimate_all(blocks: View[u32, 2], query: View[f32, 1], own: MutView[f32, 1], out: MutView[f32, 2], *, bits: Const):
    """Estimate from every node: what the sweep compares; own gets |q - c|^2."""
    width = len(query)
    planes = buffer(u64, width // WORD * PLANES)
    sums = Array[f32, 2](0.0)
    bit_planes(query, planes.mut(), sums.mut())
    for node in range(blocks.shape[0]):
        own[node] = own_distance(blocks, node, query)
        estimates(blocks, node, planes.view(), sums.view(), width, own[node], out[node], bits=bits)


def reference_estimate_all(bits):
    """Say it in NumPy."""

    def reference(blocks, query, own, out):
        width = len(query)
        ids_at = HEADER + width // 2
        step = np.abs(query).max() / 127
        cut = np.round(query / step)
        own[:] = ((own_vectors(blocks, width).astype(np.float64) - query) ** 2).sum(axis=1)
        constants, factors = (
            blocks[:, ids_at + i * DEGREE : ids_at + (i + 1) * DEGREE].view(np.float32) for i in (1, 2)
        )
        codes = blocks[:, ids_at + 3 * DEGREE :].view(np.uint64).reshape(len(blocks), bits, width // WORD, DEGREE)
        ones = (codes[..., None] >> np.arange(WORD, dtype=np.uint64)) & np.uint64(1)  # (n, bits, words, R, 64)
        levels = (ones.astype(np.float64) * (1 << np.arange(bits))[None, :, None, None, None]).sum(axis=1)
        y = levels.transpose(0, 2, 1, 3).reshape(len(blocks), DEGREE, width) - ((1 << bits) - 1) / 2
        out[:] = own[:, None] + constants - factors * (y @ cut * step)

    return reference


def cases(bits):
    """Encoded blocks of two widths, with empty places."""

    def make(rng):
        made = []
        for width in (64, 192):
            blocks = sample_blocks(rng, 3, width, bits)
            reference_encode_blocks(bits)(blocks, 0, 3, width, 1)
            made.append((blocks, normal(rng, (width,)), np.zeros(3, np.float32), np.zeros((3, DEGREE), np.float32)))
        return made

    return make


SWEEPS = tuple(
    Sweep(
        estimate_all, reference_estimate_all(bits), cases(bits), 1e-3, 1e-3, (("bits", bits),), f"estimate_all_{bits}"
    )
    for bits in (1, 2)
)
