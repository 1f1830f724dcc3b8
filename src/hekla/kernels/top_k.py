"""The k smallest or largest numbers with their places, best first; of equals the one with the smaller place.

Shapes:  x (n,) f32 -> values (k,) f32, places (k,) index. NaN comes last, beside the worst infinity.
         Where k > n the last k - n places are -1 and their values NaN.
Cost:    k small beside n: one comparison per 64 numbers, and log2 k steps for each number that is among the best when
         it is met: k ln(n / k) of them in random order, n at worst (sorted the wrong way round); nothing is allocated.
         k above n / 64: five readings of x, then four of the k kept; buffers of 24 k bytes and 16 KB.
Source:  Floyd, "Algorithm 245: Treesort", 1964: a heap with the worst of the k kept on top; for many, radix selection
         and radix sort, Knuth, The Art of Computer Programming, volume 3, 5.2.5.
"""

import math

import numpy as np

from hekla.kernels.sizes import normal
from hekla.lang import (
    Array,
    Const,
    MutView,
    Vec,
    View,
    any_lane,
    bitcast,
    buffer,
    f32,
    i32,
    index,
    kernel,
    load,
    store,
    u32,
)
from hekla.lang.sweep import Sweep

LANES, WIDE = 16, 64
FEW = 64  # a heap is faster for as many
DIGIT = 11  # bits looked at in one reading
MASK = (1 << DIGIT) - 1
INFINITY, NAN = math.inf, math.nan


def reference_top(sign):
    """Return the NumPy form: sign 1 for the smallest, -1 for the largest."""

    def reference(x, values, places):
        order = np.argsort(np.where(np.isnan(x), np.inf, sign * x), kind="stable")[: len(places)]
        values[:], places[:] = np.nan, -1
        values[: len(order)], places[: len(order)] = x[order], order

    return reference


@kernel(inline=True)
def key_of(x: f32, *, sign: Const) -> f32:
    """Return what is compared: the smaller the better."""
    key = x * sign
    return key if key == key else INFINITY


@kernel(inline=True)
def is_worse(key: f32, place: index, than_key: f32, than_place: index) -> bool:
    return key > than_key or (key == than_key and place > than_place)


@kernel
def sink(keys: MutView[f32, 1], places: MutView[index, 1], start: index, count: index, key: f32, place: index):
    """Put a number in at `start` and let it sink below the worse ones of the first `count`."""
    hole = start
    child = 2 * hole + 1
    while child < count:
        if child + 1 < count and is_worse(keys[child + 1], places[child + 1], keys[child], places[child]):
            child += 1
        if not is_worse(keys[child], places[child], key, place):
            break
        keys[hole] = keys[child]
        places[hole] = places[child]
        hole = child
        child = 2 * hole + 1
    keys[hole] = key
    places[hole] = place


@kernel(inline=True)
def offer(x: View[f32, 1], first: index, last: index, keys: MutView[f32, 1], places: MutView[index, 1], *, sign: Const):
    """Take each of x[first:last] that is better than the worst of those kept."""
    for i in range(first, last):
        key = key_of(x[i], sign=sign)
        if key < keys[0]:
            sink(keys, places, 0, len(keys), key, i)


@kernel(inline=True)
def ordered(x: f32, *, sign: Const) -> u32:
    """Return a whole number that is ordered as the keys are; -0 equals 0."""
    bits = bitcast(u32, key_of(x, sign=sign) + 0.0)
    return bits ^ (bitcast(u32, bitcast(i32, bits) >> 31) | 0x80000000)


@kernel(inline=True)
def sort(keys: MutView[u32, 1], places: MutView[index, 1], spare: MutView[u32, 1], spare_places: MutView[index, 1]):
    """Sort by radix, byte by byte: equals keep their order, and after four bytes all is back in its place."""
    counts = Array[index, 256](0)
    for pair in range(2):
        sort_byte(keys, places, spare, spare_places, counts.mut(), u32(16 * pair))
        sort_byte(spare, spare_places, keys, places, counts.mut(), u32(16 * pair + 8))


@kernel
def sort_byte(
    keys: View[u32, 1],
    places: View[index, 1],
    to: MutView[u32, 1],
    to_places: MutView[index, 1],
    counts: MutView[index, 1],
    shift: u32,
):
    for i in range(len(counts)):
        counts[i] = 0
    for i in range(len(keys)):
        counts[(keys[i] >> shift) & 255] += 1
    total = 0
    for i in range(len(counts)):
        count = counts[i]
        counts[i] = total
        total += count
    for i in range(len(keys)):
        digit = (keys[i] >> shift) & 255
        at = counts[digit]
        to[at] = keys[i]
        to_places[at] = places[i]
        counts[digit] = at + 1


@kernel(inline=True)
def top_many(x: View[f32, 1], values: MutView[f32, 1], places: MutView[index, 1], *, sign: Const):
    """As `top` for 1 <= k <= n: find the k-th key digit by digit, collect what is not above it, and sort that."""
    k = len(places)
    counts = buffer(i32, 1 << DIGIT)
    found = u32(0)
    fixed = u32(0)
    wanted = i32(k)
    for reading in range(3):
        shift = u32(DIGIT * (2 - reading))
        for i in range(0, len(counts), WIDE):
            store(counts.mut(), i, Vec[i32, WIDE](0))
        for i in range(len(x)):
            key = ordered(x[i], sign=sign)
            if key & fixed == found:
                counts[(key >> shift) & MASK] += 1
        digit = 0
        while wanted > counts[digit]:
            wanted -= counts[digit]
            digit += 1
        found |= u32(digit) << shift
        fixed |= u32(MASK) << shift
    keys = buffer(u32, k)
    spare = buffer(u32, k)
    spare_places = buffer(index, k)
    m = 0
    for i in range(len(x)):
        candidate = ordered(x[i], sign=sign)
        if candidate < found or (candidate == found and wanted > 0):
            if candidate == found:
                wanted -= 1
            keys[m] = candidate
            places[m] = i
            m += 1
    sort(keys.mut(), places, spare.mut(), spare_places.mut())
    for i in range(k):
        values[i] = x[places[i]]


@kernel(inline=True)
def top(x: View[f32, 1], values: MutView[f32, 1], places: MutView[index, 1], *, sign: Const):
    n = len(x)
    k = min(len(places), n)
    for i in range(k, len(places)):
        values[i] = NAN
        places[i] = -1
    if k == 0:
        return
    keys = values[0:k]
    kept = places[0:k]
    if k > FEW and 64 * k > n:
        top_many(x, keys, kept, sign=sign)
        return
    for i in range(k):
        keys[i] = key_of(x[i], sign=sign)
        kept[i] = i
    for i in range(k // 2 - 1, -1, -1):
        sink(keys, kept, i, k, keys[i], kept[i])
    whole = n - (n - k) % WIDE
    for i in range(k, whole, WIDE):
        if any_lane(load(x, i, width=WIDE) * sign < keys[0]):
            for j in range(i, i + WIDE, LANES):
                if any_lane(load(x, j, width=LANES) * sign < keys[0]):
                    offer(x, j, j + LANES, keys, kept, sign=sign)
    offer(x, whole, n, keys, kept, sign=sign)
    for last in range(k - 1, 0, -1):
        key = keys[last]
        place = kept[last]
        keys[last] = keys[0]
        kept[last] = kept[0]
        sink(keys, kept, 0, last, key, place)
    for i in range(k):
        keys[i] = x[kept[i]]


@kernel
def smallest(x: View[f32, 1], values: MutView[f32, 1], places: MutView[index, 1]):
    top(x, values, places, sign=1.0)


@kernel
def largest(x: View[f32, 1], values: MutView[f32, 1], places: MutView[index, 1]):
    top(x, values, places, sign=-1.0)


def cases(rng):
    """Random numbers, many equals, sorted both ways, infinities and NaN; k of 0, 1, some, all and more than all."""
    up = np.arange(100, dtype=np.float32)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, np.nan, np.inf, 1.0], np.float32)
    made = [
        (np.zeros(0, np.float32), 2), (normal(rng, (1,)), 0), (normal(rng, (1,)), 1), (normal(rng, (300,)), 7),
        (rng.integers(0, 5, 200).astype(np.float32), 9), (up, 20), (up[::-1].copy(), 20), (odd, 5), (odd, 8), (odd, 10),
        (normal(rng, (63,)), 63), (normal(rng, (300,)), 100), (np.tile(odd, 20), 90),
    ]  # fmt: skip
    return [(x, np.zeros(k, np.float32), np.zeros(k, np.int64)) for x, k in made]


SWEEPS = (Sweep(smallest, reference_top(1), cases), Sweep(largest, reference_top(-1), cases))
