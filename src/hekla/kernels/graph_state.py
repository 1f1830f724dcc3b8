"""What a search remembers between two blocks: the nodes it was told of, those it read, and the list of candidates.

Shapes:  pool (capacity,) u64 and best (k,) u64 of keys (`graph_pool`); seen (n / 32,) u64: two bits a node; touched
         (some,) u32:
         nodes whose bits were set, so that they can be cleared; recent (RECENT,) u64: the last key of a node, by the
         lowest
         bits of its number; state (STATE_WORDS,) index.
Errors:  none; the kernels that use these functions are swept as a whole (`graph_search`).
"""

from hekla.kernels.graph_pool import PASSING, TAKEN, insert, key_of, lower, node_of, place_of, place_of_key
from hekla.lang import MutView, Vec, View, bitcast, f32, fma, index, kernel, load, reduce_add, u32, u64

LANES = 16
FLIGHT = 8  # places for nodes on their way, a power of two
STARTS = 8  # nodes a search begins at
WAYS = 8  # roots that are read of those the first ones lead to
STATE_FOUND, STATE_HOPS, STATE_SIZE, STATE_PASSING, STATE_STEP, STATE_NEXT, STATE_TOUCHED = 0, 1, 2, 3, 4, 5, 6
STATE_MOST_HOPS, STATE_ENOUGH, STATE_IS_ZERO = 7, 8, 9  # limits of the walk; whether the query is all zeros
STATE_WORDS = 10
RECENT = 2048  # places for the last estimate of a node, by the lowest bits of its number
LISTED, READ = 1, 2  # marks of a node in `seen`, two bits each: it was put into the pool, its block was read
FRESH, WALKING, SCANNING, RANKING, DONE, LATE, REFUSED = 0, 1, 2, 3, 4, 5, 6  # what is to be done, or was
FARTHEST = 3e38
ALL_HOPS = 1 << 60


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
def low_word(allowed: View[u64, 1], dead: View[u64, 1], node: index) -> u32:
    return u32(node) | (u32(PASSING) if passes(allowed, dead, node) else u32(0))


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
def keep(best: MutView[u64, 1], state: MutView[index, 1], distance: f32, node: index):
    """Put a node that was measured among the nearest."""
    kept = state[STATE_FOUND]
    if insert(best, kept, key_of(distance, u32(node))) < len(best) and kept < len(best):
        state[STATE_FOUND] = kept + 1


@kernel(inline=True)
def farthest_listed(pool: View[u64, 1], state: View[index, 1], ef: index) -> f32:
    """Return the estimate from which on a candidate is not put into the pool."""
    if state[STATE_PASSING] == ef or state[STATE_SIZE] == len(pool):
        return bitcast(f32, u32(pool[state[STATE_SIZE] - 1] >> 32))
    return FARTHEST


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
def has_unread(pool: View[u64, 1], first: index, last: index) -> bool:
    is_found = False
    for i in range(first, last):
        is_found = is_found or (u32(pool[i]) & TAKEN) == 0
    return is_found


@kernel(inline=True)
def forget(seen: MutView[u64, 1], touched: View[u32, 1], count: index):
    """Bring `seen` back to all 0."""
    if count > len(touched):
        for i in range(len(seen)):
            seen[i] = 0
    else:
        for i in range(count):
            seen[index(touched[i]) // 32] = 0
