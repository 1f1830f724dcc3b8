"""Neighbours of a node out of its candidates: those no other neighbour leads to, then the nearest of the rest.

Shapes:  blocks (n, words) u32 with own vectors; lists (m, capacity) u64 of candidates, nearest first (`graph_pool`),
         sizes (m,) u32
         -> edges (m, R) u64 of keys, nearest first, counts (m,) u32. `threads` share the rows.
Rule:    x becomes a neighbour of c unless a neighbour s chosen before has slack |s - x|^2 <= |c - x|^2: of equal
         vectors
         one is enough. A hop reads R codes whether
         they are used or not: places left over go to the nearest of those refused.
Source:  Fu et al., "NSG", VLDB 2019; the slack, Subramanya et al., "DiskANN", NeurIPS 2019.
"""

import numpy as np

from hekla.kernels.graph_encode import own_part, own_vectors, sample_blocks
from hekla.kernels.graph_layout import ADDED_AT, DEGREE, HEADER
from hekla.kernels.graph_pool import FULL_KEY, distance_of, insert, node_of
from hekla.lang import (
    Array,
    MutView,
    Vec,
    View,
    bitcast,
    buffer,
    f32,
    fma,
    index,
    kernel,
    load,
    parallel,
    prefetch,
    reduce_add,
    sqrt,
    store,
    u32,
    u64,
)
from hekla.lang.sweep import Sweep

LANES, LINE, AHEAD = 16, 16, 6


def reference_prune_lists(blocks, lists, sizes, width, slack, threads, edges, counts):
    """Say it in NumPy."""
    own = own_vectors(blocks, width).astype(np.float64)
    added = np.sqrt(blocks[:, ADDED_AT].view(np.float32).astype(np.float64))
    own = np.concatenate((own, added[:, None]), axis=1)
    for i, (keys, size) in enumerate(zip(lists, sizes, strict=True)):
        chosen, refused = [], []
        for key in keys[:size].tolist():
            x = key & 0x3FFFFFFF
            distance = np.uint32(key >> 32).view(np.float32)
            near = (slack * ((own[s & 0x3FFFFFFF] - own[x]) ** 2).sum() <= distance for s in chosen)
            (refused if len(chosen) == DEGREE or any(near) else chosen).append(key)
        kept = sorted(chosen + refused[: DEGREE - len(chosen)])
        edges[i, : len(kept)], counts[i] = kept, len(kept)
        edges[i, len(kept) :] = FULL_KEY


@kernel(inline=True)
def fetch_own(blocks: View[u32, 2], node: index, width: index):
    prefetch(blocks, node, 0)
    for i in range(HEADER, HEADER + width // 2, LINE):
        prefetch(blocks, node, i)


@kernel(inline=True)
def is_led_to(chosen: View[f32, 1], count: index, x: View[f32, 1], limit: f32, slack: f32) -> bool:
    """True where a chosen neighbour is nearer to x than the limit, by the slack; their vectors follow each other."""
    n = len(x)
    for s in range(count):
        a = Vec[f32, LANES](0.0)
        b = Vec[f32, LANES](0.0)
        base = s * n
        for i in range(0, n - LANES, 2 * LANES):
            d = load(chosen, base + i, width=LANES) - load(x, i, width=LANES)
            a = fma(d, d, a)
            e = load(chosen, base + i + LANES, width=LANES) - load(x, i + LANES, width=LANES)
            b = fma(e, e, b)
        rest = load(chosen, base + n - LANES, width=LANES) - load(x, n - LANES, width=LANES)
        if slack * reduce_add(fma(rest, rest, a) + b) <= limit:
            return True
    return False


@kernel
def prune_list(
    blocks: View[u32, 2], keys: View[u64, 1], size: index, width: index, slack: f32, edges: MutView[u64, 1]
) -> index:
    """Choose the neighbours of one node; return how many there are."""
    chosen = buffer(f32, DEGREE * (width + LANES))
    x = buffer(f32, width + LANES)  # the last lanes: the root of what the node adds, as one more coordinate
    refused = Array[u64, DEGREE](0)
    count = 0
    passed_over = 0
    for j in range(min(AHEAD, size)):
        fetch_own(blocks, node_of(keys[j]), width)
    for j in range(size):
        if count == DEGREE:
            break
        if j + AHEAD < size:
            fetch_own(blocks, node_of(keys[j + AHEAD]), width)
        node = node_of(keys[j])
        for i in range(0, width, LANES):
            store(x.mut(), i, own_part(blocks, node, i))
        x[width] = sqrt(bitcast(f32, blocks[node, ADDED_AT]))
        if is_led_to(chosen.view(), count, x.view(), distance_of(keys[j]), slack):
            if passed_over < DEGREE:
                refused[passed_over] = keys[j]
                passed_over += 1
        else:
            for i in range(0, width + LANES, LANES):
                store(chosen.mut(), count * (width + LANES) + i, load(x.view(), i, width=LANES))
            edges[count] = keys[j]
            count += 1
    more = 0
    while count < DEGREE and more < passed_over:
        if insert(edges, count, refused[more]) < DEGREE:
            count += 1
        more += 1
    return count


@kernel
def prune_lists(
    blocks: View[u32, 2],
    lists: View[u64, 2],
    sizes: View[u32, 1],
    width: index,
    slack: f32,
    threads: index,
    edges: MutView[u64, 2],
    counts: MutView[u32, 1],
):
    m = lists.shape[0]
    for t in parallel(threads, unproved="a thread writes the rows of its own share"):
        for i in range(t * m // threads, (t + 1) * m // threads):
            count = prune_list(blocks, lists[i], index(sizes[i]), width, slack, edges[i])
            counts[i] = u32(count)
            for j in range(count, DEGREE):
                edges[i, j] = FULL_KEY


def cases(rng):
    """Candidates of random vectors: none, few, more than there is room for; equal vectors."""
    made = []
    for width, n, capacity in ((64, 5, 8), (192, 60, 50)):
        blocks = sample_blocks(rng, n, width, 1)
        own = own_vectors(blocks, width).astype(np.float32)
        own = np.concatenate((own, np.sqrt(blocks[:, ADDED_AT].copy().view(np.float32))[:, None]), axis=1)
        lists, sizes = np.full((4, capacity), FULL_KEY, np.uint64), np.array([0, 1, n - 1, n - 1], np.uint32)
        for i, size in enumerate(sizes):
            distances = ((own - own[i]) ** 2).sum(axis=1)
            order = np.delete(np.argsort(distances, kind="stable"), 0 if i else slice(0))[: min(size, capacity)]
            sizes[i] = len(order)
            lists[i, : len(order)] = distances[order].view(np.uint32).astype(np.uint64) << np.uint64(32) | order.astype(
                np.uint64
            )
            lists[i, : len(order)].sort()
        made.append(
            (blocks, lists, sizes, width, np.float32(1.1), 2, np.zeros((4, DEGREE), np.uint64), np.zeros(4, np.uint32))
        )
    return made


SWEEPS = (Sweep(prune_lists, reference_prune_lists, cases),)
