"""Codes of a node's neighbours, of one or two bits a coordinate, relative to the node: what a hop estimates distances
from.

Shapes:  blocks (n, words) u32 with own vectors and numbers of neighbours filled in (`graph_layout`), width w
         -> constants, factors and codes of the nodes `first` to `last`.
Method:  o = x - c is cut to b bits a coordinate: y, of centred levels. F = 2 |o|^2 / <y, o> makes F <y, q - c> an
         estimate
         of 2 <o, q - c> without bias, for a random rotation; A = |o|^2 + F <y, c> + added(x).
Added:   for inner products a node adds M^2 - |x|^2 to its squared distance: then the nearest has the largest product.
Errors:  of one bit, 0.07 |o| |q - c| sqrt(128 / w), about; of two bits, less than half.
Source:  Gao and Long, "RaBitQ", SIGMOD 2024; codes beside the node: Gou et al., "SymphonyQG", SIGMOD 2025.
"""

import math

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.graph_layout import (
    ADDED_AT,
    COUNT_AT,
    DEGREE,
    HEADER,
    NOBODY,
    block_words,
    codes_at,
    constants_at,
    factors_at,
    neighbours_at,
)
from hekla.kernels.sizes import normal
from hekla.lang import (
    Const,
    MutView,
    Vec,
    View,
    bitcast,
    f16,
    f32,
    floor,
    fma,
    index,
    iota,
    kernel,
    load,
    parallel,
    prefetch,
    reduce_add,
    reduce_or,
    select,
    sqrt,
    u32,
    unroll,
)
from hekla.lang.sweep import Sweep

LANES, WORD, LINE = 16, 64, 16
INFINITY = math.inf
STEP = 0.9957  # levels of two bits for a normal coordinate of size 1: Max, "Quantizing for minimum distortion", 1960


def own_vectors(blocks: NDArray[np.uint32], width: int) -> NDArray[np.float16]:
    """Return the own vectors of blocks as (n, width) f16, a view."""
    return blocks[:, HEADER : HEADER + width // 2].view(np.float16)


def lane_products(a, b):
    """Return the sum of a * b as sixteen lanes add it up, halves last: to the last bit what the kernel has."""
    lanes = np.zeros(LANES, np.float32)
    for x, y in zip(a.reshape(-1, LANES).astype(np.float64), b.reshape(-1, LANES), strict=True):
        lanes = (x * y + lanes).astype(np.float32)
    while len(lanes) > 1:
        lanes = lanes[: len(lanes) // 2] + lanes[len(lanes) // 2 :]
    return lanes[0]


def reference_encode_blocks(bits):
    """Say it in NumPy."""

    def reference(blocks, first, last, width, threads):
        ids_at = HEADER + width // 2
        own = own_vectors(blocks, width).astype(np.float32)
        for node in range(first, last):
            block = blocks[node]
            count = block[COUNT_AT]
            ids = block[ids_at : ids_at + DEGREE]
            ids[count:] = NOBODY
            constants, factors = block[ids_at + DEGREE : ids_at + 3 * DEGREE].view(np.float32).reshape(2, DEGREE)
            constants[:], factors[:] = np.inf, 0
            codes = block[ids_at + 3 * DEGREE :].view(np.uint64).reshape(bits, width // WORD, DEGREE)
            codes[:] = 0
            for slot in range(count):
                c, o = own[node], own[ids[slot]] - own[node]
                square = lane_products(o, o)
                per_step = np.float32(1) / max(
                    np.float32(STEP) * np.sqrt(square / np.float32(width)), np.float32(1e-30)
                )
                levels = np.float32(o > 0) if bits == 1 else np.clip(np.floor(o * per_step) + np.float32(2), 0, 3)
                y = levels - np.float32((1 << bits) - 1) / 2
                product = lane_products(y, o)
                factors[slot] = 2 * square / product if product > 0 else 0
                added = blocks[ids[slot], ADDED_AT : ADDED_AT + 1].view(np.float32)[0]
                constants[slot] = square + factors[slot] * lane_products(y, c) + added
                for bit in range(bits):
                    ones = (levels.astype(np.uint64) >> np.uint64(bit)) & np.uint64(1)
                    codes[bit, :, slot] = (ones.reshape(-1, WORD) << np.arange(WORD, dtype=np.uint64)).sum(axis=1)

    return reference


@kernel(inline=True)
def own_part(blocks: View[u32, 2], node: index, i: index) -> Vec[f32, LANES]:
    """Return coordinates i to i + 15 of a node's own vector."""
    return f32(bitcast(Vec[f16, LANES], load(blocks, node, HEADER + i // 2, width=LANES // 2)))


@kernel(inline=True)
def part_levels(o: Vec[f32, LANES], per_step: f32, *, bits: Const) -> Vec[f32, LANES]:
    if bits == 1:
        return select(o > 0.0, Vec[f32, LANES](1.0), Vec[f32, LANES](0.0))
    return min(max(floor(o * per_step) + 2.0, 0.0), 3.0)


@kernel
def encode_edge(blocks: MutView[u32, 2], node: index, slot: index, width: index, *, bits: Const):
    """Write what node `node` knows of the neighbour in one of its places."""
    words = width // WORD
    other = index(blocks[node, neighbours_at(width) + slot])
    squares = Vec[f32, LANES](0.0)
    for i in range(0, width, LANES):
        o = own_part(blocks, other, i) - own_part(blocks, node, i)
        squares = fma(o, o, squares)
    square = reduce_add(squares)
    per_step = 1.0 / max(STEP * sqrt(square / f32(width)), 1e-30)
    lane_bits = u32(1) << iota(u32, width=LANES)
    products = Vec[f32, LANES](0.0)
    centres = Vec[f32, LANES](0.0)
    for i in range(0, width, 2 * LANES):
        halves = Vec[u32, LANES](0)
        high_halves = Vec[u32, LANES](0)
        for p in unroll(range(2)):
            c = own_part(blocks, node, i + p * LANES)
            o = own_part(blocks, other, i + p * LANES) - c
            levels = part_levels(o, per_step, bits=bits)
            y = levels - f32((1 << bits) - 1) * 0.5
            products = fma(y, o, products)
            centres = fma(y, c, centres)
            whole = u32(levels)
            halves |= select((whole & 1) != 0, lane_bits << (p * LANES), Vec[u32, LANES](0))
            high_halves |= select((whole & 2) != 0, lane_bits << (p * LANES), Vec[u32, LANES](0))
        half = (i // (2 * LANES)) % 2
        word = i // WORD
        blocks[node, codes_at(width) + 2 * (word * DEGREE + slot) + half] = reduce_or(halves)
        if bits == 2:
            blocks[node, codes_at(width) + 2 * ((words + word) * DEGREE + slot) + half] = reduce_or(high_halves)
    product = reduce_add(products)
    factor = f32(0.0)
    if product > 0.0:
        factor = 2.0 * square / product
    constant = square + factor * reduce_add(centres) + bitcast(f32, blocks[other, ADDED_AT])
    blocks[node, constants_at(width) + slot] = bitcast(u32, constant)
    blocks[node, factors_at(width) + slot] = bitcast(u32, factor)


@kernel(inline=True)
def clear_edge(blocks: MutView[u32, 2], node: index, slot: index, width: index, *, bits: Const):
    """Make one place of a node empty."""
    blocks[node, neighbours_at(width) + slot] = NOBODY
    blocks[node, constants_at(width) + slot] = bitcast(u32, f32(INFINITY))
    blocks[node, factors_at(width) + slot] = 0
    for i in range(bits * (width // WORD)):
        blocks[node, codes_at(width) + 2 * (i * DEGREE + slot)] = 0
        blocks[node, codes_at(width) + 2 * (i * DEGREE + slot) + 1] = 0


@kernel
def encode_block(blocks: MutView[u32, 2], node: index, width: index, *, bits: Const):
    """Write what a node knows of all its neighbours."""
    count = index(blocks[node, COUNT_AT])
    for j in range(min(count, DEGREE)):
        other = index(blocks[node, neighbours_at(width) + j])
        for i in range(HEADER, HEADER + width // 2, LINE):
            prefetch(blocks, other, i)
    for slot in range(DEGREE):
        if slot < count:
            encode_edge(blocks, node, slot, width, bits=bits)
        else:
            clear_edge(blocks, node, slot, width, bits=bits)


@kernel
def encode_blocks(blocks: MutView[u32, 2], first: index, last: index, width: index, threads: index, *, bits: Const):
    m = last - first
    for t in parallel(threads, unproved="a node writes its own constants, factors and codes, which no other reads"):
        for node in range(first + t * m // threads, first + (t + 1) * m // threads):
            encode_block(blocks, node, width, bits=bits)


def sample_blocks(rng, nodes, width, bits):
    """Return blocks of random vectors and neighbours, without codes; two nodes are equal."""
    blocks = np.zeros((nodes, block_words(width, bits)), np.uint32)
    own_vectors(blocks, width)[:] = normal(rng, (nodes, width), np.float16)
    own_vectors(blocks, width)[-1] = own_vectors(blocks, width)[0]
    blocks[:, COUNT_AT] = rng.integers(0, DEGREE, nodes)
    blocks[:, ADDED_AT] = rng.uniform(0, 1, nodes).astype(np.float32).view(np.uint32)
    ids_at = HEADER + width // 2
    blocks[:, ids_at : ids_at + DEGREE] = rng.integers(0, nodes, (nodes, DEGREE))
    blocks[0, COUNT_AT], blocks[0, ids_at] = 1, nodes - 1
    return blocks


def cases(bits):
    """A few nodes of two widths."""
    return lambda rng: [(sample_blocks(rng, 3, width, bits), 0, 2, width, 2) for width in (64, 192)]


SWEEPS = tuple(
    Sweep(
        encode_blocks,
        reference_encode_blocks(bits),
        cases(bits),
        named=(("bits", bits),),
        label=f"encode_blocks_{bits}",
    )
    for bits in (1, 2)
)
