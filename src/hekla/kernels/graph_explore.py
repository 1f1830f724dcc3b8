"""Candidates for a node's neighbours by searching a graph for the node itself: how a graph is refined, and how it
grows.

Shapes:  as `graph_search`; lists (m, capacity) u64 of keys and sizes (m,) u32 (`graph_offer`) for the m nodes from
         `first` on.
"""

import numpy as np

from hekla.kernels.graph_encode import (
    encode_block,
    own_part,
    own_vectors,
    reference_encode_blocks,
    sample_blocks,
)
from hekla.kernels.graph_estimate import PLANES, bit_planes, own_distance
from hekla.kernels.graph_layout import ADDED_AT, COUNT_AT, DEGREE, HEADER, neighbours_at
from hekla.kernels.graph_offer import empty_lists, offer
from hekla.kernels.graph_pool import insert, key_of, node_of
from hekla.kernels.graph_prune import fetch_own, prune_list, reference_prune_lists
from hekla.kernels.graph_state import ALL_HOPS, RECENT, STATE_FOUND, STATE_TOUCHED, STATE_WORDS, forget
from hekla.kernels.graph_walk import begin, walk
from hekla.lang import (
    Array,
    Const,
    MutView,
    View,
    bitcast,
    buffer,
    f32,
    index,
    kernel,
    parallel,
    sqrt,
    store,
    u8,
    u32,
    u64,
)
from hekla.lang.sweep import Sweep

LANES, WORD = 16, 64


@kernel(inline=True)
def node_distance(blocks: View[u32, 2], node: index, added: f32, query: View[f32, 1]) -> f32:
    """Return the squared distance of a node from another one, given by its own vector and what it adds."""
    apart = sqrt(added) - sqrt(bitcast(f32, blocks[node, ADDED_AT]))
    return own_distance(blocks, node, query) + apart * apart


@kernel(inline=True)
def own_query(blocks: View[u32, 2], node: index, query: MutView[f32, 1]):
    for i in range(0, len(query), LANES):
        store(query, i, own_part(blocks, node, i))


@kernel
def measure_lists(
    blocks: View[u32, 2],
    first: index,
    width: index,
    threads: index,
    given: View[u64, 2],
    given_sizes: View[u32, 1],
    lists: MutView[u64, 2],
    sizes: MutView[u32, 1],
):
    """Offer to each node those given, at distances measured between own vectors: equal ones then have equal keys."""
    m = given.shape[0]
    for t in parallel(threads, unproved="a thread has the rows of its own share"):
        query = buffer(f32, width)
        for i in range(t * m // threads, (t + 1) * m // threads):
            own_query(blocks, first + i, query.mut())
            added = bitcast(f32, blocks[first + i, ADDED_AT])
            for j in range(index(given_sizes[i])):
                fetch_own(blocks, node_of(given[i, j]), width)
            for j in range(index(given_sizes[i])):
                other = node_of(given[i, j])
                if other != first + i:
                    distance = node_distance(blocks, other, added, query.view())
                    offer(lists, sizes, i, key_of(distance, u32(other)))


@kernel
def explore_nodes(
    blocks: View[u32, 2],
    roots: View[u32, 2],
    nodes: View[u32, 1],
    width: index,
    ef: index,
    ahead: index,
    threads: index,
    lists: MutView[u64, 2],
    sizes: MutView[u32, 1],
    is_found: MutView[u8, 1],
    *,
    bits: Const,
):
    """Offer to each of some nodes what a search for it finds; is_found: whether it finds the node, or an equal one."""
    m = lists.shape[0]
    for t in parallel(threads, unproved="a thread has the rows of its own share"):
        query = buffer(f32, width)
        planes = buffer(u64, width // WORD * PLANES)
        pool = buffer(u64, ef + 1)
        best = buffer(u64, lists.shape[1])
        seen = buffer(u64, (blocks.shape[0] + 31) // 32)
        touched = buffer(u32, 4096)
        recent = buffer(u64, RECENT)
        sums = Array[f32, 2](0.0)
        state = Array[index, STATE_WORDS](0)
        none = Array[u64, 1](0)
        nobody = none.view()[0:0]
        for i in range(t * m // threads, (t + 1) * m // threads):
            node = index(nodes[i])
            for j in range(STATE_WORDS):
                state[j] = 0
            own_query(blocks, node, query.mut())
            added = bitcast(f32, blocks[node, ADDED_AT])
            bit_planes(query.view(), planes.mut(), sums.mut())
            begin(
                blocks.shape[0], roots, query.view(), planes.view(), sums.view(), nobody, nobody, ef,
                pool.mut(), seen.mut(), touched.mut(), recent.mut(), state.mut(), bits=bits,
            )  # fmt: skip
            walk(
                blocks, query.view(), planes.view(), sums.view(), nobody, nobody, ef, ahead, ALL_HOPS,
                pool.mut(), best.mut(), seen.mut(), touched.mut(), recent.mut(), state.mut(), bits=bits,
            )  # fmt: skip
            forget(seen.mut(), touched.view(), state[STATE_TOUCHED])
            is_found[i] = 0
            if state[STATE_FOUND] > 0 and best[0] >> 32 == 0:
                is_found[i] = 1
            for j in range(state[STATE_FOUND]):
                other = node_of(best[j])
                if other != node:
                    distance = node_distance(blocks, other, added, query.view())
                    offer(lists, sizes, i, key_of(distance, u32(other)))
                if j == 0 and best[0] >> 32 == 0:
                    # an equal vector: a crowd of those fills the list, so its neighbours are offered as well
                    for slot in range(DEGREE):
                        third = index(blocks[other, neighbours_at(width) + slot])
                        if third < blocks.shape[0] and third != node:
                            offer(
                                lists, sizes, i, key_of(node_distance(blocks, third, added, query.view()), u32(third))
                            )


@kernel
def link_back(blocks: MutView[u32, 2], node: index, other: index, slack: f32, width: index, *, bits: Const):
    """Tell `other` of its new neighbour `node`: in a free place, or among the neighbours chosen anew."""
    count = index(blocks[other, COUNT_AT])
    query = buffer(f32, width)
    keys = Array[u64, DEGREE + 1](0)
    edges = Array[u64, DEGREE](0)
    own_query(blocks, other, query.mut())
    added = bitcast(f32, blocks[other, ADDED_AT])
    for j in range(count):
        fetch_own(blocks, index(blocks[other, neighbours_at(width) + j]), width)
    size = 0
    for j in range(count + 1):
        third = node
        if j < count:
            third = index(blocks[other, neighbours_at(width) + j])
        distance = node_distance(blocks, third, added, query.view())
        if insert(keys.mut(), size, key_of(distance, u32(third))) <= DEGREE:
            size += 1
    chosen = prune_list(blocks, keys.view(), size, width, slack, edges.mut())
    for j in range(chosen):
        blocks[other, neighbours_at(width) + j] = u32(node_of(edges[j]))
    blocks[other, COUNT_AT] = u32(chosen)
    encode_block(blocks, other, width, bits=bits)


@kernel
def link_nodes(
    blocks: MutView[u32, 2],
    first: index,
    width: index,
    slack: f32,
    lists: View[u64, 2],
    sizes: View[u32, 1],
    *,
    bits: Const,
):
    """Give each new node its neighbours out of its candidates, and tell them; one node after the other."""
    edges = Array[u64, DEGREE](0)
    for i in range(lists.shape[0]):
        node = first + i
        count = prune_list(blocks, lists[i], index(sizes[i]), width, slack, edges.mut())
        for j in range(count):
            blocks[node, neighbours_at(width) + j] = u32(node_of(edges[j]))
        blocks[node, COUNT_AT] = u32(count)
        encode_block(blocks, node, width, bits=bits)
        for j in range(count):
            link_back(blocks, node, node_of(edges[j]), slack, width, bits=bits)


def reference_key(blocks, width, node, other):
    """Return the key of one node for another's list, to the last bit as the kernels have it."""
    own = own_vectors(blocks, width).astype(np.float32)
    apart = (own[other] - own[node]).reshape(-1, 2, LANES)
    lanes = np.zeros((2, LANES), np.float32)
    for part in apart.astype(np.float64):
        lanes = (part * part + lanes).astype(np.float32)
    total = lanes[0] + lanes[1]
    while len(total) > 1:
        total = total[: len(total) // 2] + total[len(total) // 2 :]
    added = np.sqrt(blocks[:, ADDED_AT].view(np.float32))
    distance = total[0] + (added[node] - added[other]) * (added[node] - added[other])
    return int(np.float32(distance).view(np.uint32)) << 32 | int(other)


def reference_measure_lists(blocks, first, width, threads, given, given_sizes, lists, sizes):
    """Say it in NumPy."""
    for i, (keys, size) in enumerate(zip(given, given_sizes, strict=True)):
        others = {int(key) & 0x3FFFFFFF for key in keys[:size]} - {first + i}
        found = sorted(reference_key(blocks, width, first + i, other) for other in others)[: lists.shape[1]]
        lists[i, : len(found)], sizes[i] = found, len(found)


def reference_explore_nodes(blocks, roots, nodes, width, ef, ahead, threads, lists, sizes, is_found):
    """Say it in NumPy, for a graph in which each node is reached and a list with room for all: the nearest of all
    others.
    """
    for i, node in enumerate(nodes):
        found = sorted(reference_key(blocks, width, node, other) for other in range(len(blocks)) if other != node)
        lists[i, : len(found)], sizes[i], is_found[i] = found, len(found), 1


def reference_link_nodes(bits):
    """Return the NumPy form for a number of bits."""

    def choose(blocks, width, node, keys, slack):
        edges, counts = np.zeros((1, DEGREE), np.uint64), np.zeros(1, np.uint32)
        reference_prune_lists(blocks, np.array([keys], np.uint64), [len(keys)], width, slack, 1, edges, counts)
        at, count = HEADER + width // 2, int(counts[0])
        blocks[node, at : at + count] = edges[0, :count] & np.uint64(0x3FFFFFFF)
        blocks[node, COUNT_AT] = count
        reference_encode_blocks(bits)(blocks, node, node + 1, width, 1)
        return blocks[node, at : at + count].tolist()

    def reference(blocks, first, width, slack, lists, sizes):
        for i, (keys, size) in enumerate(zip(lists, sizes, strict=True)):
            for other in choose(blocks, width, first + i, keys[:size], slack):
                at = HEADER + width // 2
                known = [*blocks[other, at : at + blocks[other, COUNT_AT]].tolist(), first + i]
                choose(blocks, width, other, sorted({reference_key(blocks, width, other, x) for x in known}), slack)

    return reference


def distinct_neighbours(rng, blocks, width, counts):
    """Give the nodes neighbours of which none occurs twice, and codes."""
    at = HEADER + width // 2
    for node, count in enumerate(counts):
        others = rng.permutation(np.delete(np.arange(len(blocks)), node))[:count]
        blocks[node, at : at + len(others)], blocks[node, COUNT_AT] = others, len(others)
    reference_encode_blocks(1)(blocks, 0, len(counts), width, 1)


def measure_cases(rng):
    """Nodes given themselves, one twice, and one that is equal."""
    blocks = sample_blocks(rng, 9, 64, 1)
    given = rng.integers(0, 9, (3, 6), dtype=np.uint64)
    return [(blocks, 4, 64, 2, given, np.array([6, 0, 4], np.uint32), *empty_lists(3, 5))]


def explore_cases(rng):
    """A few nodes that all know each other, found from one root."""
    width, n = 64, 7
    blocks = sample_blocks(rng, n + 1, width, 1)
    blocks[:, ADDED_AT] = 0
    own_vectors(blocks, width)[n] = 0
    distinct_neighbours(rng, blocks, width, [n - 1] * n)
    at = HEADER + width // 2
    blocks[:n, at : at + n - 1] = [np.delete(np.arange(n), node) for node in range(n)]
    blocks[n, at : at + n], blocks[n, COUNT_AT] = np.arange(n), n
    reference_encode_blocks(1)(blocks, 0, n + 1, width, 1)
    nodes = np.array([5, 2], np.uint32)
    return [(blocks[:n].copy(), blocks[n:].copy(), nodes, width, n, 3, 2, *empty_lists(2, 20), np.zeros(2, np.uint8))]


def link_cases(rng):
    """A new node whose neighbours have room, and have none."""
    width, n = 64, 40
    blocks = sample_blocks(rng, n, width, 1)
    distinct_neighbours(rng, blocks, width, [DEGREE, 3, *[DEGREE] * (n - 2)])
    blocks[-1, COUNT_AT] = 0
    keys = sorted(reference_key(blocks, width, n - 1, other) for other in (0, 1))
    return [(blocks, n - 1, width, np.float32(1.0), np.array([keys], np.uint64), np.array([2], np.uint32))]


SWEEPS = (
    Sweep(measure_lists, reference_measure_lists, measure_cases),
    Sweep(explore_nodes, reference_explore_nodes, explore_cases, named=(("bits", 1),)),
    Sweep(link_nodes, reference_link_nodes(1), link_cases, named=(("bits", 1),)),
)
