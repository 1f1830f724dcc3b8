"""Walking small blocks (`graph_compact`): a hop reads the numbers of a node's neighbours and then the code of each.

Two nodes are under way at a time: while the codes of one node's neighbours come from memory, those of the node before
are
estimated. Shapes, state and errors as in `graph_search`, which also sweeps this walk.
"""

from hekla.kernels.graph_compact import (
    SMALL_ADDED_AT,
    fetch_small,
    small_distance,
    small_estimate,
    small_neighbours_at,
)
from hekla.kernels.graph_layout import DEGREE
from hekla.kernels.graph_pool import PASSING, TAKEN, key_of, node_of
from hekla.kernels.graph_state import (
    LISTED,
    STATE_HOPS,
    STATE_SIZE,
    STATE_TOUCHED,
    admit,
    farthest_listed,
    has_unread,
    keep,
    low_word,
    mark,
    square_of,
)
from hekla.lang import Array, Const, MutView, View, bitcast, f32, i8, index, kernel, prefetch, u32, u64

LINE = 16


@kernel(inline=True)
def take_small(pool: MutView[u64, 1], cursor: index, state: MutView[index, 1], max_hops: index) -> index:
    """Return the place of the next candidate to be read, or the number of candidates where there is none."""
    at = cursor
    size = state[STATE_SIZE]
    while at < size and (u32(pool[at]) & TAKEN) != 0:
        at += 1
    if state[STATE_HOPS] >= max_hops:
        return size
    return at


@kernel(inline=True)
def list_neighbours(
    blocks: View[u32, 2],
    node: index,
    width: index,
    seen: MutView[u64, 1],
    touched: MutView[u32, 1],
    state: MutView[index, 1],
    waiting: MutView[u32, 1],
    *,
    own: Const,
) -> index:
    """Ask memory for the codes of a node's neighbours that no node told of before; return how many there are."""
    count = 0
    for slot in range(DEGREE):
        other = index(blocks[node, small_neighbours_at(width, own=own) + slot])
        if other < blocks.shape[0] and (seen[other // 32] >> u64(2 * (other % 32))) & 1 == 0:
            mark(seen, other, LISTED)
            if state[STATE_TOUCHED] < len(touched):
                touched[state[STATE_TOUCHED]] = u32(other)
            state[STATE_TOUCHED] += 1
            fetch_small(blocks, other, width, own=own)
            waiting[count] = u32(other)
            count += 1
    return count


@kernel
def walk_small(
    blocks: View[u32, 2],
    query: View[f32, 1],
    cut: View[i8, 1],
    sums: View[f32, 1],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    ef: index,
    max_hops: index,
    pool: MutView[u64, 1],
    best: MutView[u64, 1],
    seen: MutView[u64, 1],
    touched: MutView[u32, 1],
    state: MutView[index, 1],
    *,
    own: Const,
) -> bool:
    """Read nodes, nearest first, until the pool has none left unread, or max_hops in all were read. Return whether
    none is left.
    """
    width = len(query)
    square = square_of(query)
    waiting = Array[u32, DEGREE](0)
    older = Array[u32, DEGREE](0)
    coming = 0
    cursor = 0
    while True:
        place = take_small(pool, cursor, state, max_hops)
        is_taken = place < state[STATE_SIZE]
        if not is_taken and coming == 0:
            break
        cursor = place
        for i in range(coming):
            older[i] = waiting[i]
        ready = coming
        coming = 0
        if is_taken:
            key = pool[place]
            pool[place] = key | TAKEN
            state[STATE_HOPS] += 1
            node = node_of(key)
            coming = list_neighbours(blocks, node, width, seen, touched, state, waiting.mut(), own=own)
            if (u32(key) & PASSING) != 0:
                distance = small_distance(blocks, node, query, own=own) + bitcast(f32, blocks[node, SMALL_ADDED_AT])
                keep(best, state, distance, node)
        for i in range(ready):
            other = index(older[i])
            limit = farthest_listed(pool, state, ef)
            near = small_estimate(blocks, other, query, cut, sums, square, own=own)
            near += bitcast(f32, blocks[other, SMALL_ADDED_AT])
            if near < limit:
                added_key = key_of(near, low_word(allowed, dead, other))
                put = admit(pool, state, added_key, ef)
                if put < len(pool):
                    for line in range(small_neighbours_at(width, own=own), blocks.shape[1], LINE):
                        prefetch(blocks, other, line)
                cursor = min(cursor, put)
    return not has_unread(pool, 0, state[STATE_SIZE])  # a walk that has read max_hops left the cursor at the end
