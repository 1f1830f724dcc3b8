"""The k smallest or largest numbers with their places, best first; of equals the one with the smaller place.

Shapes:  x (n,) f32 -> values (k,) f32, places (k,) index. NaN comes last, beside the worst infinity.
         Where k > n the last k - n places are -1 and their values NaN.
Cost:    k small beside n: one comparison per 64 numbers, and log2 k steps for each number that is among the best when
         it is met: k ln(n / k) of them in random order, n at worst (sorted the wrong way round); nothing is allocated.
         k above n / 64: two readings of x, then four of the k kept; buffers of 16 bytes for each of those, 8 for each
         number that shares the first 11 bits of its key with the k-th, and 40 KB.
Source:  Floyd, "Algorithm 245: Treesort", 1964: a heap with the worst of the k kept on top; for many, radix selection
         and radix sort, Knuth, The Art of Computer Programming, volume 3, 5.2.5.
"""

import math

import numpy as np

from hekla.kernels.sizes import normal
from hekla.lang import (
    Const,
    MutView,
    View,
    any_lane,
    bitcast,
    buffer,
    f32,
    i32,
    index,
    kernel,
    load,
    struct,
    u32,
    u64,
    unroll,
)
from hekla.lang.sweep import Sweep

LANES, WIDE = 16, 64
FEW = 64  # a heap is faster for as many
MANY = 1 << 31  # numbers are counted in 32 bits
DIGIT = 11  # bits looked at at once
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


@struct
class Edge:
    digit: u32  # in which the last of those wanted falls
    below: index  # numbers with smaller ones
    equal: index  # numbers with this one


@kernel(inline=True)
def edge_of(counts: View[i32, 1], wanted: index) -> Edge:
    digit = 0
    below = 0
    while wanted - below > index(counts[digit]):
        below += index(counts[digit])
        digit += 1
    return Edge(digit=u32(digit), below=below, equal=index(counts[digit]))


@kernel(inline=True)
def digit_of(both: u64, *, number: Const) -> u32:
    return u32(both >> (32 + DIGIT * number)) & MASK


@kernel(inline=True)
def narrow(doubted: MutView[u64, 1], count: index, kept: MutView[u64, 1], filled: index, *, number: Const) -> Edge:
    """Move to `kept` those of the first `count` doubted that are surely among the best by one digit more."""
    counts = buffer(i32, 1 << DIGIT)
    for i in range(count):
        counts[digit_of(doubted[i], number=number)] += 1
    edge = edge_of(counts.view(), len(kept) - 1 - filled)
    left = 0
    m = filled
    for i in range(count):
        both = doubted[i]
        digit = digit_of(both, number=number)
        kept[m] = both
        m += 1 if digit < edge.digit else 0
        doubted[left] = both
        left += 1 if digit == edge.digit else 0
    return edge


@kernel
def sort(keys: MutView[u64, 1], spare: MutView[u64, 1]):
    """Sort by the upper half, by radix, into `spare`: equals keep their order."""
    counts = buffer(i32, 3 << DIGIT)
    for i in range(len(keys)):
        for d in unroll(range(3)):
            counts[(d << DIGIT) + index(digit_of(keys[i], number=d))] += 1
    for d in unroll(range(3)):
        total = i32(0)
        for j in range(d << DIGIT, (d + 1) << DIGIT):
            count = counts[j]
            counts[j] = total
            total += count
    at = counts.mut()
    spread(keys, spare, at[0 : 1 << DIGIT], number=0)
    spread(spare, keys, at[1 << DIGIT : 2 << DIGIT], number=1)
    spread(keys, spare, at[2 << DIGIT : 3 << DIGIT], number=2)


@kernel(inline=True)
def spread(keys: View[u64, 1], to: MutView[u64, 1], at: MutView[i32, 1], *, number: Const):
    for i in range(len(keys)):
        digit = digit_of(keys[i], number=number)
        to[at[digit]] = keys[i]
        at[digit] += 1


@kernel(inline=True)
def top_many(x: View[f32, 1], values: MutView[f32, 1], places: MutView[index, 1], *, sign: Const):
    """As `top` for 1 <= k <= n: split by the digit of the k-th key, split those in doubt again, and sort the k.

    Numbers go as u64, the key above and the place below. All writes are made, and counted only where they shall stay:
    half of the numbers are kept in the worst case, which no processor foresees.
    """
    k = len(places)
    counts = buffer(i32, 1 << DIGIT)
    for i in range(len(x)):
        counts[ordered(x[i], sign=sign) >> (2 * DIGIT)] += 1
    edge = edge_of(counts.view(), k)
    kept = buffer(u64, k + 1)
    doubted = buffer(u64, edge.equal + 1)
    m = 0
    left = 0
    for i in range(len(x)):
        key = ordered(x[i], sign=sign)
        both = (u64(key) << 32) | u64(i)
        digit = key >> (2 * DIGIT)
        kept[m] = both
        m += 1 if digit < edge.digit else 0
        doubted[left] = both
        left += 1 if digit == edge.digit else 0
    for number in unroll(range(1, -1, -1)):
        edge = narrow(doubted.mut(), edge.equal, kept.mut(), m, number=number)
        m += edge.below
    for i in range(k - m):
        kept[m + i] = doubted[i]
    spare = buffer(u64, k)
    whole = kept.mut()
    sort(whole[0:k], spare.mut())
    for i in range(k):
        place = index(spare[i] & 0xFFFFFFFF)
        places[i] = place
        values[i] = x[place]


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
    if k > FEW and 64 * k > n and n < MANY:
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
