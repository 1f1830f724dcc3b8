"""What goes on around a walk: counting the nodes that pass a filter, and measuring all of them.

Shapes:  blocks (n, words) u32, full or small; allowed, dead: bitmaps over nodes, u64, or of length 0; best (k,) u64
         of keys.
Errors:  a bitmap that ends before a node allows it not, and does not say that it is dead.
Method:  COMING nodes are on their way from memory at a time. The scan is swept with the walk
         (`graph_search`), where it is resumed at STATE_NEXT.
"""

import numpy as np

from hekla.kernels.graph_compact import SMALL_ADDED_AT, fetch_small, small_distance
from hekla.kernels.graph_estimate import own_distance
from hekla.kernels.graph_layout import ADDED_AT, HEADER
from hekla.kernels.graph_pool import FULL_KEY
from hekla.kernels.graph_prune import fetch_own
from hekla.kernels.graph_state import STATE_NEXT, keep
from hekla.kernels.measures import ROOT
from hekla.lang import (
    Array,
    Const,
    MutView,
    Vec,
    View,
    bitcast,
    f32,
    i64,
    index,
    kernel,
    load,
    popcount,
    prefetch,
    reduce_add,
    trailing_zeros,
    u32,
    u64,
)
from hekla.lang.sweep import Sweep

LINE = 16
COMING = 32  # nodes on their way from memory, a power of two


@kernel(inline=True)
def fetch_node(blocks: View[u32, 2], node: index, width: index, *, own: Const, metric: Const):
    if own == 0 and metric == ROOT:  # of which nodes add nothing: what they add is not read
        for i in range(HEADER, HEADER + width // 2, LINE):
            prefetch(blocks, node, i)
    elif own == 0:
        fetch_own(blocks, node, width)
    else:
        fetch_small(blocks, node, width, own=own)


@kernel(inline=True)
def node_measure(blocks: View[u32, 2], node: index, query: View[f32, 1], *, own: Const, metric: Const) -> f32:
    if own == 0 and metric == ROOT:
        return own_distance(blocks, node, query)
    if own == 0:
        return own_distance(blocks, node, query) + bitcast(f32, blocks[node, ADDED_AT])
    return small_distance(blocks, node, query, own=own) + bitcast(f32, blocks[node, SMALL_ADDED_AT])


@kernel
def scan_allowed(
    blocks: View[u32, 2],
    query: View[f32, 1],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    max_nodes: index,
    best: MutView[u64, 1],
    state: MutView[index, 1],
    *,
    own: Const,
    metric: Const,
) -> bool:
    """Offer each node that is allowed and not dead to `best`, from STATE_NEXT on, at most max_nodes of them, about;
    query is rotated. Return whether that were all.
    """
    n = blocks.shape[0]
    at = state[STATE_NEXT]
    coming = Array[u32, COMING](0)
    told = 0
    done = 0
    while at < n and told < max_nodes:
        word = u64(FULL_KEY)
        if len(allowed) > 0:
            word = allowed[at // 64] if at // 64 < len(allowed) else u64(0)
        if at // 64 < len(dead):
            word &= ~dead[at // 64]
        if n - at < 64:
            word &= (u64(1) << u64(n - at)) - 1
        while word != 0:
            node = at + index(i64(trailing_zeros(word)))
            word &= word - 1
            fetch_node(blocks, node, len(query), own=own, metric=metric)
            if told - done == COMING:
                ready = index(coming[done % COMING])
                keep(best, state, node_measure(blocks, ready, query, own=own, metric=metric), ready)
                done += 1
            coming[told % COMING] = u32(node)
            told += 1
        at += 64
    for i in range(done, told):
        ready = index(coming[i % COMING])
        keep(best, state, node_measure(blocks, ready, query, own=own, metric=metric), ready)
    state[STATE_NEXT] = at
    return at >= n


@kernel
def count_passing(allowed: View[u64, 1], dead: View[u64, 1], n: index) -> index:
    return passing_of(allowed, dead, n)


@kernel(inline=True)
def passing_of(allowed: View[u64, 1], dead: View[u64, 1], n: index) -> index:
    """Return how many of the first n nodes are allowed and not dead."""
    sums = Vec[u64, 8](0)
    whole = n // 64
    if len(allowed) > 0:
        whole = min(whole, len(allowed))
    start = 0
    while start + 8 <= whole:
        words = Vec[u64, 8](FULL_KEY)
        if len(allowed) > 0:
            words = load(allowed, start, width=8)
        words &= ~load(dead, min(start, len(dead)), width=8, count=len(dead) - start)
        sums += popcount(words)
        start += 8
    total = reduce_add(sums)
    for at in range(64 * start, n, 64):
        word = u64(FULL_KEY)
        if len(allowed) > 0:
            word = allowed[at // 64] if at // 64 < len(allowed) else u64(0)
        if at // 64 < len(dead):
            word &= ~dead[at // 64]
        if n - at < 64:
            word &= (u64(1) << u64(n - at)) - 1
        total += popcount(word)
    return index(i64(total))


def count_kernel_cases(rng):
    """Bitmaps of all lengths around eight words; nodes that fill them and not."""
    words = rng.integers(0, 1 << 63, (2, 30), dtype=np.uint64)
    return [
        (words[0, :a].copy(), words[1, :b].copy(), n)
        for n in (0, 70, 512, 1100) for a, b in ((0, 0), (18, 0), (0, 5), (17, 18), (3, 30))
    ]  # fmt: skip


def reference_count_passing(allowed, dead, n):
    """Say it in NumPy."""

    def bits(bitmap):
        found = np.unpackbits(bitmap.view(np.uint8), bitorder="little")[:n]
        return np.pad(found, (0, n - len(found)))

    return int(((bits(allowed) if len(allowed) else np.ones(n)) * (1 - bits(dead))).sum())


SWEEPS = (Sweep(count_passing, reference_count_passing, count_kernel_cases),)
