"""Search of a graph of blocks (`graph_layout`): one native call finds the nearest of a query, or of many.

Shapes:  blocks (n, words) u32; roots (r, words) u32: blocks around the mean whose neighbours are where a search begins;
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

import math

import numpy as np

from hekla.kernels.graph_encode import encode_blocks, own_vectors, sample_blocks
from hekla.kernels.graph_estimate import PLANES, bit_planes, estimates, nearer, own_distance
from hekla.kernels.graph_layout import ADDED_AT, COUNT_AT, DEGREE, HEADER, neighbours_at
from hekla.kernels.graph_pool import (
    FULL_KEY,
    NODE_MASK,
    PASSING,
    TAKEN,
    distance_of,
    insert,
    key_of,
    lower,
    node_of,
    place_of,
    place_of_key,
)
from hekla.kernels.graph_prune import fetch_own
from hekla.kernels.graph_rotate import reference_rotate_rows, rotate, rotation_signs
from hekla.kernels.sizes import normal
from hekla.lang import (
    Array,
    Const,
    MutView,
    Vec,
    View,
    bitcast,
    buffer,
    f32,
    fma,
    i64,
    index,
    kernel,
    load,
    parallel,
    popcount,
    prefetch,
    reduce_add,
    trailing_zeros,
    u32,
    u64,
)
from hekla.lang.sweep import Sweep

LANES, WORD, LINE = 16, 64, 16
FLIGHT = 8  # places for nodes on their way, a power of two
STARTS = 8  # nodes a search begins at
STATE_FOUND, STATE_HOPS, STATE_SIZE, STATE_PASSING, STATE_STEP, STATE_NEXT, STATE_TOUCHED = 0, 1, 2, 3, 4, 5, 6
STATE_WORDS = 8
RECENT = 2048  # places for the last estimate of a node, by the lowest bits of its number
KEPT = 12  # of the sweep
LISTED, READ = 1, 2  # marks of a node in `seen`, two bits each: it was put into the pool, its block was read
FRESH, UNFINISHED, DONE, NOT_FINITE = 0, 1, 2, 3
FARTHEST = 3e38
ALL_HOPS = 1 << 60
NAN = math.nan


@kernel(inline=True)
def fetch(blocks: View[u32, 2], node: index):
    for i in range(0, blocks.shape[1], LINE):
        prefetch(blocks, node, i)


@kernel(inline=True)
def has_bit(bitmap: View[u64, 1], node: index) -> bool:
    return ((bitmap[node // 64] >> u64(node % 64)) & 1) != 0


@kernel(inline=True)
def passes(allowed: View[u64, 1], dead: View[u64, 1], node: index) -> bool:
    """True where a node may be found; a bitmap that ends before a node says no of it."""
    if len(allowed) > 0 and (node // 64 >= len(allowed) or not has_bit(allowed, node)):
        return False
    return not (node // 64 < len(dead) and has_bit(dead, node))


@kernel(inline=True)
def low_word(allowed: View[u64, 1], dead: View[u64, 1], node: index, *, filtered: Const) -> u32:
    if filtered:
        return u32(node) | (u32(PASSING) if passes(allowed, dead, node) else u32(0))
    return u32(node) | PASSING


@kernel(inline=True)
def square_of(query: View[f32, 1]) -> f32:
    squares = Vec[f32, LANES](0.0)
    for i in range(0, len(query), LANES):
        v = load(query, i, width=LANES)
        squares = fma(v, v, squares)
    return reduce_add(squares)


@kernel(inline=True)
def admit(pool: MutView[u64, 1], state: MutView[index, 1], key: u64, ef: index) -> index:
    """Put a candidate into the pool, and drop what lies behind the ef-th that passes. Return its place."""
    size = state[STATE_SIZE]
    passing = state[STATE_PASSING]
    last = pool[len(pool) - 1]
    place = insert(pool, size, key)
    if place < len(pool):
        passing += index((u32(key) >> 30) & 1)
        if size == len(pool):
            passing -= index((u32(last) >> 30) & 1)
        else:
            size += 1
        while passing > ef or (passing == ef and (u32(pool[size - 1]) & PASSING) == 0):
            size -= 1
            passing -= index((u32(pool[size]) >> 30) & 1)
        state[STATE_SIZE] = size
        state[STATE_PASSING] = passing
    return place


@kernel(inline=True)
def mark(seen: MutView[u64, 1], node: index, bit: index):
    seen[node // 32] = seen[node // 32] | (u64(bit) << u64(2 * (node % 32)))


@kernel(inline=True)
def consider(
    pool: MutView[u64, 1],
    seen: MutView[u64, 1],
    touched: MutView[u32, 1],
    recent: MutView[u64, 1],
    state: MutView[index, 1],
    node: index,
    key: u64,
    ef: index,
) -> index:
    """Put a node into the pool, once: of the estimates several neighbours give the smallest counts. Return its
    place.
    """
    marks = (seen[node // 32] >> u64(2 * (node % 32))) & 3
    if marks & READ != 0:
        return len(pool)
    slot = node % RECENT
    if marks & LISTED != 0:
        size = state[STATE_SIZE]
        old = recent[slot]
        place = size
        if node_of(old) == node:
            if key >= old:
                return len(pool)
            place = place_of_key(pool, size, old)
        else:
            place = place_of(pool, size, node)
            if place < size and key >= pool[place]:
                return len(pool)
        recent[slot] = key
        if place < size:
            return lower(pool, place, key)
    else:
        mark(seen, node, LISTED)
        recent[slot] = key
        if state[STATE_TOUCHED] < len(touched):
            touched[state[STATE_TOUCHED]] = u32(node)
        state[STATE_TOUCHED] += 1
    return admit(pool, state, key, ef)


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
    """Put the nodes nearest by estimate from the mean into the pool: the places a search begins at."""
    found = Array[f32, DEGREE](0.0)
    starts = Array[u64, STARTS](0)
    size = 0
    square = square_of(query)
    for r in range(roots.shape[0]):
        estimates(roots, r, planes, sums, len(query), square, found.mut(), bits=bits)
        for slot in range(DEGREE):
            other = index(roots[r, neighbours_at(len(query)) + slot])
            if other < n:
                key = key_of(found[slot], low_word(allowed, dead, other, filtered=filtered))
                if insert(starts.mut(), size, key) < STARTS and size < STARTS:
                    size += 1
    for i in range(size):
        consider(pool, seen, touched, recent, state, node_of(starts[i]), starts[i], ef)


@kernel(inline=True)
def has_unread(pool: View[u64, 1], first: index, last: index) -> bool:
    is_found = False
    for i in range(first, last):
        is_found = is_found or (u32(pool[i]) & TAKEN) == 0
    return is_found


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


@kernel(inline=True)
def forget(seen: MutView[u64, 1], touched: View[u32, 1], count: index):
    """Bring `seen` back to all 0."""
    if count > len(touched):
        for i in range(len(seen)):
            seen[i] = 0
    else:
        for i in range(count):
            seen[index(touched[i]) // 32] = 0


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
    state: MutView[index, 1],
    *,
    bits: Const,
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
    walk(
        blocks, query, planes, sums, allowed, dead, ef, ahead, max_hops, pool, best, seen, touched, recent, state,
        bits=bits, filtered=filtered,
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
        sums = Array[f32, 2](0.0)
        for i in range(t * m // threads, (t + 1) * m // threads):
            states[i, STATE_STEP] = FRESH
            search_one(
                blocks, roots, queries[i], mean, signs, scale, allowed, dead, ef, ahead, max_hops,
                query.mut(), planes.mut(), sums.mut(), pool.mut(), best[i], seen.mut(), touched.mut(), recent.mut(),
                states[i],
                bits=bits, filtered=filtered,
            )  # fmt: skip
            if states[i, STATE_STEP] == UNFINISHED:
                forget(seen.mut(), touched.view(), states[i, STATE_TOUCHED])


@kernel
def scan_allowed(
    blocks: View[u32, 2],
    query: View[f32, 1],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    max_nodes: index,
    best: MutView[u64, 1],
    state: MutView[index, 1],
):
    """Offer each node that is allowed and not dead to `best`, from STATE_NEXT on, at most max_nodes of them; query
    is rotated.
    """
    n = blocks.shape[0]
    at = state[STATE_NEXT]
    waiting = Array[u32, 64](0)
    done = 0
    while at < n and done < max_nodes:
        word = u64(FULL_KEY)
        if len(allowed) > 0:
            word = allowed[at // 64] if at // 64 < len(allowed) else u64(0)
        if at // 64 < len(dead):
            word &= ~dead[at // 64]
        count = 0
        while word != 0:
            node = at + index(i64(trailing_zeros(word)))
            word &= word - 1
            if node < n:
                fetch_own(blocks, node, len(query))
                waiting[count] = u32(node)
                count += 1
        for i in range(count):
            node = index(waiting[i])
            distance = own_distance(blocks, node, query) + bitcast(f32, blocks[node, ADDED_AT])
            kept = state[STATE_FOUND]
            if insert(best, kept, key_of(distance, u32(node))) < len(best) and kept < len(best):
                state[STATE_FOUND] = kept + 1
        done += count
        at += 64
    state[STATE_NEXT] = at
    state[STATE_STEP] = DONE if at >= n else UNFINISHED


@kernel
def count_passing(allowed: View[u64, 1], dead: View[u64, 1], n: index) -> index:
    """Return how many of the first n nodes are allowed and not dead."""
    total = u64(0)
    for at in range(0, n, 64):
        word = u64(FULL_KEY)
        if len(allowed) > 0:
            word = allowed[at // 64] if at // 64 < len(allowed) else u64(0)
        if at // 64 < len(dead):
            word &= ~dead[at // 64]
        if n - at < 64:
            word &= (u64(1) << u64(n - at)) - 1
        total += popcount(word)
    return index(i64(total))


@kernel
def split_keys(
    keys: View[u64, 2],
    counts: View[index, 1],
    factor: f32,
    constants: View[f32, 1],
    nodes: MutView[index, 2],
    distances: MutView[f32, 2],
):
    """Write the nodes of keys, and their distances times the factor plus the row's constant; -1 and NaN past each
    count.
    """
    for i in range(keys.shape[0]):
        for j in range(nodes.shape[1]):
            if j < counts[i]:
                nodes[i, j] = node_of(keys[i, j])
                distances[i, j] = distance_of(keys[i, j]) * factor + constants[i]
            else:
                nodes[i, j] = -1
                distances[i, j] = NAN


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
                sums.mut(), pool.mut(), keys[0], seen.mut(), touched.mut(), recent.mut(), states[0], bits=1,
                filtered=True,
            )  # fmt: skip
            rests += hops
        for j in range(STATE_WORDS):
            states[1, j] = 0
        while states[1, STATE_STEP] != DONE:
            scan_allowed(blocks, query.view(), allowed, dead, hops, keys[1], states[1])
        search_many(
            blocks, roots, queries[i : i + 1], mean, signs, 1.0, allowed, dead, n, 2, ALL_HOPS, n + 1, 1,
            keys[2:3], states[2:3], bits=1, filtered=True,
        )  # fmt: skip
        passing[0] = count_passing(allowed, dead, n)
        for way in range(3):
            counts[way] = states[way, STATE_FOUND]
        split_keys(keys, counts.view(), 2.0, constants.view(), nodes[i], distances[i])


def reference_walk_and_scan(blocks, roots, queries, mean, signs, allowed, dead, hops, counted, nodes, distances):
    """Say it in NumPy: all that are allowed and not dead, nearest first, whichever way."""
    width = signs.shape[1]
    rotated = np.zeros((len(queries), width))
    reference_rotate_rows(queries, mean, signs, 1.0, rotated)
    own = own_vectors(blocks, width).astype(np.float64)
    passing = (
        np.unpackbits(allowed.view(np.uint8), bitorder="little")[: len(own)] if len(allowed) else np.ones(len(own))
    )
    if len(dead):
        passing = passing * (1 - np.unpackbits(dead.view(np.uint8), bitorder="little")[: len(own)])
    counted[0] = np.sum(passing)
    nodes[:], distances[:] = -1, np.nan
    for i, query in enumerate(rotated):
        exact = ((own - query) ** 2).sum(axis=1) + blocks[:, ADDED_AT].view(np.float32)
        order = [node for node in np.argsort(exact) if passing[node]][: nodes.shape[2]]
        nodes[i, :, : len(order)] = order
        distances[i, :, : len(order)] = exact[order] * 2 + 0.5


def cases(rng):
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
        queries = normal(rng, (1, 50))
        made.append((
            blocks[:n].copy(), blocks[n:].copy(), queries, normal(rng, (50,)), rotation_signs(width, 1), allowed, dead,
            hops, np.zeros(1, np.int64), np.zeros((1, 3, KEPT), np.int64), np.zeros((1, 3, KEPT), np.float32),
        ))  # fmt: skip
    return made


SWEEPS = (Sweep(walk_and_scan, reference_walk_and_scan, cases, 1e-4, 1e-4),)
