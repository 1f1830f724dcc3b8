"""Search of a graph of blocks (`graph_layout`): one native call finds the nearest of a query, or of many.

Shapes:  blocks (n, words) u32; roots (r, words) u32: blocks whose neighbours are where a search begins;
         query (d,) f32 with mean (d,), signs (4, w) and scale (`graph_rotate`); allowed, dead: bitmaps over nodes,
         u64, or
         of length 0: a node is found if allowed and not dead; best (capacity,) u64: keys of what was found
         (`graph_pool`).
State:   state (8,) index, see STATE_*: a search that met `max_hops` is resumed by calling again with the same arrays.
         seen (n / 32,) u64 is all 0 before the first call, and after the last.
Method:  the list `pool` holds what is nearer than the ef-th candidate that passes; nodes that do not pass are walked
         through.
         Several nodes are on their way from memory at any time: the next to be read is chosen before the one read now
         is understood. The order of a beam search hardly matters; that it waits for each block matters most.
Errors:  numbers of nodes at or past n, in damaged blocks, are passed over: no byte outside of the arrays is read.
Source:  beam search, Malkov and Yashunin, arXiv:1603.09320; codes beside the node, "SymphonyQG", SIGMOD 2025;
         filters within the walk, Patel et al., "ACORN", SIGMOD 2024.
"""

import numpy as np

from hekla.kernels.graph_compact import (
    SMALL_ADDED_AT,
    SMALL_HEADER,
    compact_blocks,
    compact_words,
    cut_query,
)
from hekla.kernels.graph_encode import encode_blocks, own_vectors, sample_blocks
from hekla.kernels.graph_estimate import PLANES, bit_planes, estimates, nearer, own_distance
from hekla.kernels.graph_layout import ADDED_AT, COUNT_AT, DEGREE, HEADER, LEADS_TO_ROOTS_AT, neighbours_at
from hekla.kernels.graph_pool import NODE_MASK, PASSING, TAKEN, insert, key_of, node_of
from hekla.kernels.graph_rotate import reference_rotate_rows, rotate, rotation_signs
from hekla.kernels.graph_scan import count_passing, scan_allowed, split_keys
from hekla.kernels.graph_state import (
    ALL_HOPS,
    DONE,
    FARTHEST,
    FLIGHT,
    FRESH,
    NOT_FINITE,
    READ,
    RECENT,
    STARTS,
    STATE_FOUND,
    STATE_HOPS,
    STATE_PASSING,
    STATE_SIZE,
    STATE_STEP,
    STATE_TOUCHED,
    STATE_WORDS,
    UNFINISHED,
    WAYS,
    consider,
    forget,
    has_unread,
    low_word,
    mark,
    square_of,
)
from hekla.kernels.graph_walk_small import walk_small
from hekla.kernels.sizes import normal
from hekla.lang import (
    Array,
    Const,
    MutView,
    View,
    bitcast,
    buffer,
    f32,
    i8,
    index,
    kernel,
    parallel,
    prefetch,
    trailing_zeros,
    u32,
    u64,
)
from hekla.lang.sweep import Sweep

WORD, LINE = 64, 16
KEPT = 12  # of the sweep


@kernel(inline=True)
def fetch(blocks: View[u32, 2], node: index):
    for i in range(0, blocks.shape[1], LINE):
        prefetch(blocks, node, i)


@kernel(inline=True)
def begin(
    n: index,
    roots: View[u32, 2],
    query: View[f32, 1],
    planes: View[u64, 1],
    sums: View[f32, 1],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    ef: index,
    pool: MutView[u64, 1],
    seen: MutView[u64, 1],
    touched: MutView[u32, 1],
    recent: MutView[u64, 1],
    state: MutView[index, 1],
    *,
    bits: Const,
    filtered: Const,
):
    """Put the entries nearest by estimate into the pool: the places a search begins at.

    Roots that lead to roots come first: the nearest of what they lead to are read; where there are none, all roots are.
    """
    found = Array[f32, DEGREE](0.0)
    starts = Array[u64, STARTS](0)
    ways = Array[u64, WAYS](0)
    size = 0
    read = roots.shape[0]
    tops = 0
    square = square_of(query)
    width = len(query)
    while tops < roots.shape[0] and roots[tops, LEADS_TO_ROOTS_AT] != 0:
        estimates(roots, tops, planes, sums, width, square, found.mut(), bits=bits)
        for slot in range(DEGREE):
            root = index(roots[tops, neighbours_at(width) + slot])
            if root < roots.shape[0] and insert(ways.mut(), size, key_of(found[slot], u32(root))) < WAYS:
                size = min(size + 1, WAYS)
        tops += 1
    if tops > 0:
        read = size
    size = 0
    for r in range(read):
        root = r
        near = square
        if tops > 0:
            root = node_of(ways[r])
            near = own_distance(roots, root, query)
        estimates(roots, root, planes, sums, width, near, found.mut(), bits=bits)
        for slot in range(DEGREE):
            other = index(roots[root, neighbours_at(width) + slot])
            if other < n:
                key = key_of(found[slot], low_word(allowed, dead, other, filtered=filtered))
                if insert(starts.mut(), size, key) < STARTS and size < STARTS:
                    size += 1
    for i in range(size):
        consider(pool, seen, touched, recent, state, node_of(starts[i]), starts[i], ef)


@kernel
def walk(
    blocks: View[u32, 2],
    query: View[f32, 1],
    planes: View[u64, 1],
    sums: View[f32, 1],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    ef: index,
    ahead: index,
    max_hops: index,
    pool: MutView[u64, 1],
    best: MutView[u64, 1],
    seen: MutView[u64, 1],
    touched: MutView[u32, 1],
    recent: MutView[u64, 1],
    state: MutView[index, 1],
    *,
    bits: Const,
    filtered: Const,
):
    """Read blocks, nearest first, until the pool has none left unread, or max_hops in all were read."""
    n = blocks.shape[0]
    width = len(query)
    found = Array[f32, DEGREE](0.0)
    flight = Array[u32, FLIGHT](0)
    flying = 0
    first = 0
    cursor = 0
    while True:
        while flying < ahead and state[STATE_HOPS] < max_hops:
            while cursor < state[STATE_SIZE] and (u32(pool[cursor]) & TAKEN) != 0:
                cursor += 1
            if cursor >= state[STATE_SIZE]:
                break
            key = pool[cursor]
            pool[cursor] = key | TAKEN
            chosen = node_of(key)
            fetch(blocks, chosen)
            mark(seen, chosen, READ)
            flight[(first + flying) % FLIGHT] = u32(key)
            flying += 1
            state[STATE_HOPS] += 1
        if flying == 0:
            break
        low = flight[first]
        node = index(low & NODE_MASK)
        first = (first + 1) % FLIGHT
        flying -= 1
        square = own_distance(blocks, node, query)
        if (low & PASSING) != 0:
            distance = square + bitcast(f32, blocks[node, ADDED_AT])
            kept = state[STATE_FOUND]
            if insert(best, kept, key_of(distance, u32(node))) < len(best) and kept < len(best):
                state[STATE_FOUND] = kept + 1
        estimates(blocks, node, planes, sums, width, square, found.mut(), bits=bits)
        limit = f32(FARTHEST)
        if state[STATE_PASSING] == ef or state[STATE_SIZE] == len(pool):
            limit = bitcast(f32, u32(pool[state[STATE_SIZE] - 1] >> 32))
        near = nearer(found.view(), limit)
        while near != 0:
            slot = index(trailing_zeros(near))
            near &= near - 1
            other = index(blocks[node, neighbours_at(width) + slot])
            if other < n:
                key = key_of(found[slot], low_word(allowed, dead, other, filtered=filtered))
                cursor = min(cursor, consider(pool, seen, touched, recent, state, other, key, ef))
    state[STATE_STEP] = UNFINISHED if has_unread(pool, cursor, state[STATE_SIZE]) else DONE


@kernel
def search_one(
    blocks: View[u32, 2],
    roots: View[u32, 2],
    given: View[f32, 1],
    mean: View[f32, 1],
    signs: View[f32, 2],
    scale: f32,
    allowed: View[u64, 1],
    dead: View[u64, 1],
    ef: index,
    ahead: index,
    max_hops: index,
    query: MutView[f32, 1],
    planes: MutView[u64, 1],
    sums: MutView[f32, 1],
    pool: MutView[u64, 1],
    best: MutView[u64, 1],
    seen: MutView[u64, 1],
    touched: MutView[u32, 1],
    recent: MutView[u64, 1],
    cut: MutView[i8, 1],
    state: MutView[index, 1],
    *,
    bits: Const,
    own: Const,
    filtered: Const,
):
    """Search for one query, or go on with it where state says that it is unfinished. query to touched are working
    memory.
    """
    if state[STATE_STEP] != UNFINISHED:
        for i in range(STATE_WORDS):
            state[i] = 0
        rotate(given, mean, signs, scale, query)
        if not (square_of(query) < FARTHEST):
            state[STATE_STEP] = NOT_FINITE
            return
        bit_planes(query, planes, sums)
        begin(
            blocks.shape[0],
            roots,
            query,
            planes,
            sums,
            allowed,
            dead,
            ef,
            pool,
            seen,
            touched,
            recent,
            state,
            bits=bits,
            filtered=filtered,
        )
        if own != 0:
            cut_query(query, sums, cut)
    if own == 0:
        walk(
            blocks, query, planes, sums, allowed, dead, ef, ahead, max_hops, pool, best, seen, touched, recent, state,
            bits=bits, filtered=filtered,
        )  # fmt: skip
    else:
        walk_small(
            blocks, query, cut, sums, allowed, dead, ef, max_hops, pool, best, seen, touched, state,
            own=own, filtered=filtered,
        )  # fmt: skip
    if state[STATE_STEP] == DONE:
        forget(seen, touched, state[STATE_TOUCHED])


@kernel
def search_many(
    blocks: View[u32, 2],
    roots: View[u32, 2],
    queries: View[f32, 2],
    mean: View[f32, 1],
    signs: View[f32, 2],
    scale: f32,
    allowed: View[u64, 1],
    dead: View[u64, 1],
    ef: index,
    ahead: index,
    max_hops: index,
    capacity: index,
    threads: index,
    best: MutView[u64, 2],
    states: MutView[index, 2],
    *,
    bits: Const,
    own: Const,
    filtered: Const,
):
    """Search for many queries, shared among threads; capacity is the pool's, states what became of each."""
    m = queries.shape[0]
    width = signs.shape[1]
    for t in parallel(threads, unproved="a thread writes the rows of its own share"):
        query = buffer(f32, width)
        planes = buffer(u64, width // WORD * PLANES)
        pool = buffer(u64, capacity)
        seen = buffer(u64, (blocks.shape[0] + 31) // 32)
        touched = buffer(u32, 4096)
        recent = buffer(u64, RECENT)
        cut = buffer(i8, width)
        sums = Array[f32, 2](0.0)
        for i in range(t * m // threads, (t + 1) * m // threads):
            states[i, STATE_STEP] = FRESH
            search_one(
                blocks, roots, queries[i], mean, signs, scale, allowed, dead, ef, ahead, max_hops,
                query.mut(), planes.mut(), sums.mut(), pool.mut(), best[i], seen.mut(), touched.mut(), recent.mut(),
                cut.mut(),
                states[i],
                bits=bits, own=own, filtered=filtered,
            )  # fmt: skip
            if states[i, STATE_STEP] == UNFINISHED:
                forget(seen.mut(), touched.view(), states[i, STATE_TOUCHED])


@kernel
def walk_and_scan(
    blocks: View[u32, 2],
    roots: View[u32, 2],
    queries: View[f32, 2],
    mean: View[f32, 1],
    signs: View[f32, 2],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    hops: index,
    passing: MutView[index, 1],
    nodes: MutView[index, 3],
    distances: MutView[f32, 3],
    *,
    own: Const,
):
    """Search every way there is with room for all: what the sweep compares. hops: where a search rests and is
    resumed.
    """
    m = queries.shape[0]
    n = blocks.shape[0]
    width = signs.shape[1]
    query = buffer(f32, width)
    planes = buffer(u64, width // WORD * PLANES)
    pool = buffer(u64, n + 1)
    seen = buffer(u64, (n + 31) // 32)
    touched = buffer(u32, 2)
    recent = buffer(u64, RECENT)
    cut = buffer(i8, width)
    sums = Array[f32, 2](0.0)
    all_keys = Array[Array[u64, KEPT], 3](Array[u64, KEPT](0))
    all_states = Array[Array[index, STATE_WORDS], 3](Array[index, STATE_WORDS](0))
    counts = Array[index, 3](0)
    constants = Array[f32, 3](0.5)
    keys = all_keys.mut()
    states = all_states.mut()
    for i in range(m):
        states[0, STATE_STEP] = FRESH
        rests = hops
        while states[0, STATE_STEP] < DONE:
            search_one(
                blocks, roots, queries[i], mean, signs, 1.0, allowed, dead, n, 3, rests, query.mut(), planes.mut(),
                sums.mut(), pool.mut(), keys[0], seen.mut(), touched.mut(), recent.mut(), cut.mut(),
                states[0], bits=1, own=own, filtered=True,
            )  # fmt: skip
            rests += hops
        for j in range(STATE_WORDS):
            states[1, j] = 0
        while states[1, STATE_STEP] != DONE:
            scan_allowed(blocks, query.view(), allowed, dead, hops, keys[1], states[1], own=own)
        search_many(
            blocks, roots, queries[i : i + 1], mean, signs, 1.0, allowed, dead, n, 2, ALL_HOPS, n + 1, 1,
            keys[2:3], states[2:3], bits=1, own=own, filtered=True,
        )  # fmt: skip
        passing[0] = count_passing(allowed, dead, n)
        for way in range(3):
            counts[way] = states[way, STATE_FOUND]
        split_keys(keys, counts.view(), 2.0, constants.view(), nodes[i], distances[i])


def reference_walk_and_scan(blocks, roots, queries, mean, signs, allowed, dead, hops, counted, nodes, distances):
    """Say it in NumPy: all that are allowed and not dead, nearest first, whichever way."""
    width = signs.shape[1]
    is_wide = blocks.shape[1] == roots.shape[1]
    start = HEADER if is_wide else SMALL_HEADER
    added = blocks[:, ADDED_AT if is_wide else SMALL_ADDED_AT].view(np.float32)
    rotated = np.zeros((len(queries), width))
    reference_rotate_rows(queries, mean, signs, 1.0, rotated)
    own = blocks[:, start : start + width // 2].view(np.float16).astype(np.float64)
    passing = (
        np.unpackbits(allowed.view(np.uint8), bitorder="little")[: len(own)] if len(allowed) else np.ones(len(own))
    )
    if len(dead):
        passing = passing * (1 - np.unpackbits(dead.view(np.uint8), bitorder="little")[: len(own)])
    counted[0] = np.sum(passing)
    nodes[:], distances[:] = -1, np.nan
    for i, query in enumerate(rotated):
        exact = ((own - query) ** 2).sum(axis=1) + added
        order = [node for node in np.argsort(exact) if passing[node]][: nodes.shape[2]]
        nodes[i, :, : len(order)] = order
        distances[i, :, : len(order)] = exact[order] * 2 + 0.5


def cases(rng, own=0):
    """A graph in which each node is reached; with and without filters and dead nodes."""
    made = []
    width, n = 64, 11
    blocks = sample_blocks(rng, n + 1, width, 1)
    ids_at = HEADER + width // 2
    blocks[:, COUNT_AT] = DEGREE
    blocks[:n, ids_at : ids_at + DEGREE] = rng.integers(0, n, (n, DEGREE))
    own_vectors(blocks, width)[n:] = 0
    blocks[n, ids_at : ids_at + n], blocks[n, COUNT_AT] = np.arange(n), n
    encode_blocks(blocks, 0, n + 1, width, 1, bits=1)
    blocks[2, ids_at + 5] = n + 1000  # damage: a node that does not exist
    some, none = np.array([0b01011011101], np.uint64), np.zeros(0, np.uint64)
    for allowed, dead, hops in ((none, none, 1000), (some, none, 3), (some, ~some >> np.uint64(3), 5)):
        nodes = blocks[:n].copy()
        if own:
            nodes = np.zeros((n, compact_words(width, own)), np.uint32)
            compact_blocks(blocks[:n], width, 1, nodes, own=own)
        queries = normal(rng, (1, 50))
        made.append((
            nodes, blocks[n:].copy(), queries, normal(rng, (50,)), rotation_signs(width, 1), allowed, dead,
            hops, np.zeros(1, np.int64), np.zeros((1, 3, KEPT), np.int64), np.zeros((1, 3, KEPT), np.float32),
        ))  # fmt: skip
    return made


SWEEPS = (
    Sweep(walk_and_scan, reference_walk_and_scan, cases, 1e-4, 1e-4, (("own", 0),), "walk_and_scan"),
    Sweep(
        walk_and_scan,
        reference_walk_and_scan,
        lambda rng: cases(rng, 16),
        1e-4,
        1e-4,
        (("own", 16),),
        "walk_small_and_scan",
    ),
)
