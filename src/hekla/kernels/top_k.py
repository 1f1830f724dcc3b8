"""The k smallest or largest numbers with their places, best first; of equals the one with the smaller place.

Shapes:  x (n,) f32 -> values (k,) f32, places (k,) index. NaN comes last, beside the worst infinity.
         Where k > n the last k - n places are -1 and their values NaN.
Cost:    one comparison per 64 numbers, and log2 k steps for each number that is among the best when it is met:
         k ln(n / k) of them in random order, n at worst (sorted the wrong way round). Nothing is allocated.
Source:  Floyd, "Algorithm 245: Treesort", 1964: a heap with the worst of the k kept on top.
"""

import math

import numpy as np

from hekla.kernels.sizes import normal
from hekla.lang import Const, MutView, View, any_lane, f32, index, kernel, load
from hekla.lang.sweep import Sweep

LANES, WIDE = 16, 64
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
        (normal(rng, (63,)), 63),
    ]  # fmt: skip
    return [(x, np.zeros(k, np.float32), np.zeros(k, np.int64)) for x, k in made]


SWEEPS = (Sweep(smallest, reference_top(1), cases), Sweep(largest, reference_top(-1), cases))
