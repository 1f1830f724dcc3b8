"""Walking a graph of blocks (`graph_layout`): where a search begins, and how it goes on.

Shapes:  blocks (n, words) u32; roots (r, words) u32: blocks whose neighbours are where a search begins; query (w,)
         f32, rotated, planes and sums of it (`graph_estimate`); allowed, dead: bitmaps over nodes, u64, or of length
         0: a node is found if allowed and not dead; best (capacity,) u64: keys of what was found (`graph_pool`).
State:   state (STATE_WORDS,) index, see `graph_state`: a walk that met `max_hops` goes on where it is called again
         with the same arrays.
         seen (n / 32,) u64 is all 0 before the first call; `forget` makes it so after the last.
Method:  the list `pool` holds what is nearer than the ef-th candidate that passes; nodes that do not pass are walked
         through.
         Several nodes are on their way from memory at any time: the next to be read is chosen before the one read now
         is understood. The order of a beam search hardly matters; that it waits for each block matters most.
Errors:  numbers of nodes at or past n, in damaged blocks, are passed over: no byte outside of the arrays is read.
         Swept as a whole (`graph_search`).
Source:  beam search, Malkov and Yashunin, arXiv:1603.09320; codes beside the node, "SymphonyQG", SIGMOD 2025;
         filters within the walk, Patel et al., "ACORN", SIGMOD 2024.
"""

from hekla.kernels.graph_estimate import estimates, nearer, own_distance
from hekla.kernels.graph_layout import ADDED_AT, DEGREE, LEADS_TO_ROOTS_AT, neighbours_at
from hekla.kernels.graph_pool import NODE_MASK, PASSING, TAKEN, insert, key_of, node_of
from hekla.kernels.graph_state import (
    FLIGHT,
    READ,
    STARTS,
    STATE_HOPS,
    STATE_SIZE,
    WAYS,
    consider,
    farthest_listed,
    has_unread,
    keep,
    low_word,
    mark,
    square_of,
)
from hekla.lang import Array, Const, MutView, View, bitcast, f32, index, kernel, prefetch, trailing_zeros, u32, u64

LINE = 16


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
                key = key_of(found[slot], low_word(allowed, dead, other))
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
) -> bool:
    """Read blocks, nearest first, until the pool has none left unread, or max_hops in all were read. Return whether
    none is left.
    """
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
            keep(best, state, distance, node)
        estimates(blocks, node, planes, sums, width, square, found.mut(), bits=bits)
        near = nearer(found.view(), farthest_listed(pool, state, ef))
        while near != 0:
            slot = index(trailing_zeros(near))
            near &= near - 1
            other = index(blocks[node, neighbours_at(width) + slot])
            if other < n:
                key = key_of(found[slot], low_word(allowed, dead, other))
                cursor = min(cursor, consider(pool, seen, touched, recent, state, other, key, ef))
    return not has_unread(pool, cursor, state[STATE_SIZE])
