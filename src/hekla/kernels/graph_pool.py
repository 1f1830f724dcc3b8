"""A sorted list of candidates, nearest first: what a graph search and a graph's construction keep.

A candidate is one u64: the f32 distance in the upper half, which for numbers from 0 up is ordered as its bits are,
then one bit
"taken", one bit "passes the filter" and 30 bits of the node's number.

Shapes:  keys (capacity,) u64, sorted; `insert` returns where the key went, or the capacity where it is not among the
         nearest.
Errors:  a key that is there already is not put in again.
Cost:    the keys behind it move one place, eight at a time.
"""

import numpy as np

from hekla.lang import MutView, Vec, View, any_lane, bitcast, f32, index, kernel, load, store, u32, u64
from hekla.lang.sweep import Sweep

EIGHT = 8
TAKEN, PASSING = 1 << 31, 1 << 30
NODE_MASK = (1 << 30) - 1
FULL_KEY = (1 << 64) - 1


def reference_insert_all(given, keys, places):
    """Say it in NumPy."""
    kept = []
    for i, key in enumerate(given):
        if key in kept or (len(kept) == len(keys) and (not kept or key > kept[-1])):
            places[i] = len(keys)
            continue
        kept = sorted([*kept, key])[: len(keys)]
        places[i] = kept.index(key)
    keys[: len(kept)] = kept


@kernel(inline=True)
def key_of(distance: f32, low: u32) -> u64:
    """Return the key of a candidate; distances below 0 count as 0."""
    return u64(bitcast(u32, max(distance, 0.0))) << 32 | u64(low)


@kernel(inline=True)
def node_of(key: u64) -> index:
    return index(u32(key) & NODE_MASK)


@kernel(inline=True)
def distance_of(key: u64) -> f32:
    return bitcast(f32, u32(key >> 32))


@kernel(inline=True)
def insert(keys: MutView[u64, 1], size: index, key: u64) -> index:
    """Put a key among the first `size`, of len(keys) at most; the caller counts."""
    capacity = len(keys)
    if size == capacity and (capacity == 0 or key >= keys[capacity - 1]):
        return capacity
    at = size
    while at >= EIGHT and keys[at - EIGHT] > key:
        at -= EIGHT
    while at > 0 and keys[at - 1] > key:
        at -= 1
    if at > 0 and keys[at - 1] == key:
        return capacity
    hole = min(size, capacity - 1)
    while hole - EIGHT >= at:
        moved = load(keys, hole - EIGHT, width=EIGHT)
        store(keys, hole - EIGHT + 1, moved)
        hole -= EIGHT
    while hole > at:
        keys[hole] = keys[hole - 1]
        hole -= 1
    keys[at] = key
    return at


@kernel(inline=True)
def place_of(keys: View[u64, 1], size: index, node: index) -> index:
    """Return where a node is among the first `size` keys, or `size` where it is not."""
    mask = Vec[u64, EIGHT](NODE_MASK)
    for i in range(0, size, EIGHT):
        if any_lane((load(keys, i, width=EIGHT, count=size - i) & mask) == u64(node)):
            for j in range(i, min(i + EIGHT, size)):
                if node_of(keys[j]) == node:
                    return j
    return size


@kernel(inline=True)
def place_of_key(keys: View[u64, 1], size: index, key: u64) -> index:
    """Return where a key is among the first `size`, or `size` where it is not."""
    low = 0
    high = size
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < size and keys[low] == key else size


@kernel(inline=True)
def lower(keys: MutView[u64, 1], place: index, key: u64) -> index:
    """Put a smaller key in the place of the one at `place`; return where it went."""
    at = place
    while at > 0 and keys[at - 1] > key:
        keys[at] = keys[at - 1]
        at -= 1
    keys[at] = key
    return at


@kernel
def lower_all(given: View[u64, 1], keys: MutView[u64, 1], places: MutView[index, 1]):
    """Give nodes that are among the keys their new keys where those are smaller; places says where each went, -1 if
    not.
    """
    for i in range(len(given)):
        places[i] = -1
        place = place_of(keys, len(keys), node_of(given[i]))
        if place < len(keys) and place_of_key(keys, len(keys), keys[place]) != place:
            place = -2  # the two ways to find it must agree
        if place >= 0 and place < len(keys) and given[i] < keys[place]:
            places[i] = lower(keys, place, given[i])


@kernel
def insert_all(given: View[u64, 1], keys: MutView[u64, 1], places: MutView[index, 1]):
    """Put many keys in, one after the other; places says where each went."""
    size = 0
    for i in range(len(given)):
        places[i] = insert(keys, size, given[i])
        if places[i] < len(keys) and size < len(keys):
            size += 1


def cases(rng):
    """No room, room for one, for fewer and for more than there are; equals."""
    return [
        (rng.integers(0, high, n, dtype=np.uint64), np.full(room, FULL_KEY, np.uint64), np.zeros(n, np.int64))
        for n, room, high in (
            (3, 0, 9),
            (9, 1, 9),
            (60, 20, 1 << 60),
            (60, 33, 50),
            (30, 40, 1 << 60),
            (90, 16, 1 << 40),
        )
    ]


def reference_lower_all(given, keys, places):
    """Say it in NumPy."""
    for i, key in enumerate(given):
        places[i] = -1
        same = np.flatnonzero((keys & np.uint64(NODE_MASK)) == (key & np.uint64(NODE_MASK)))
        if len(same) and key < keys[same[0]]:
            keys[same[0]] = key
            keys.sort()
            places[i] = np.flatnonzero(keys == key)[0]


def lower_cases(rng):
    """Nodes that are there and not, nearer than before and not."""
    made = []
    for n in (0, 1, 9, 40):
        nodes = rng.permutation(60).astype(np.uint64)
        far = rng.integers(0, 1 << 31, 60, dtype=np.uint64) << np.uint64(32)
        made.append((far[-20:] // 2 | nodes[20:40], np.sort(far[:n] | nodes[:n]), np.zeros(20, np.int64)))
    return made


SWEEPS = (
    Sweep(lower_all, reference_lower_all, lower_cases),
    Sweep(insert_all, reference_insert_all, cases),
)
