"""The answer to a search: the nearest of several parts of a collection, merged as each part is done.

Shapes:  keys (m,) u64, nearest first: the rank as `top_k.ordered` has it in the upper half, the row in the lower;
         ids (n,) u64 of the part's rows, or of length 0: then a row's number is its id;
         places, known, ranks, scores (k,): part << PART_SHIFT | row, id, rank and score (`measures`) of what is
         kept, nearest first; answered (ANSWER_WORDS,): how many of them, the blocks that were read, and whether
         the query is all zeros.
Method:  two sorted lists are merged from behind; of equal ranks those that were there come first.
Errors:  what has no finite rank is not an answer.
"""

import math

import numpy as np

from hekla.kernels.measures import LESS_ONE, MINUS, ROOT, SAME
from hekla.kernels.top_k import ordered
from hekla.lang import Const, MutView, View, bitcast, f32, f64, i32, index, kernel, sqrt, u32, u64
from hekla.lang.sweep import Sweep

PART_SHIFT = 40
ANSWER_COUNT, ANSWER_HOPS, ANSWER_IS_ZERO = 0, 1, 2
ANSWER_WORDS = 3
FAR = math.inf


@kernel(inline=True)
def rank_key(rank: f32, row: index) -> u64:
    """Return the key of a row: ordered by rank, then by row."""
    return u64(ordered(rank, sign=1.0)) << 32 | u64(row)


@kernel(inline=True)
def rank_of(key: u64) -> f32:
    """Return the rank a key was made of."""
    high = u32(key >> 32)
    return bitcast(f32, high ^ (0x80000000 | ~bitcast(u32, bitcast(i32, high) >> 31)))


@kernel(inline=True)
def row_of(key: u64) -> index:
    """Return the row of a key."""
    return index(u32(key))


@kernel(inline=True)
def score_of(rank: f32, *, scoring: Const) -> f64:
    """Return what callers see."""
    if scoring == ROOT:
        return sqrt(max(f64(rank), 0.0))
    if scoring == MINUS:
        return -f64(rank)
    if scoring == LESS_ONE:
        return 1.0 - f64(rank)
    return f64(rank)


@kernel(inline=True)
def deliver(
    keys: View[u64, 1],
    count: index,
    ids: View[u64, 1],
    part: index,
    k: index,
    places: MutView[index, 1],
    known: MutView[u64, 1],
    ranks: MutView[f32, 1],
    scores: MutView[f64, 1],
    answered: MutView[index, 1],
    *,
    offset: Const,
    scoring: Const,
):
    """Merge a part's nearest into the answer, of which k are kept."""
    new = min(count, k)
    while new > 0 and not (rank_of(keys[new - 1]) < FAR):
        new -= 1
    old = answered[ANSWER_COUNT]
    total = min(old + new, k)
    kept = 0
    added = 0
    while kept + added < total:
        if added < new and (kept >= old or rank_of(keys[added]) + offset < ranks[kept]):
            added += 1
        else:
            kept += 1
    answered[ANSWER_COUNT] = total
    while added > 0:
        total -= 1
        rank = rank_of(keys[added - 1]) + offset
        if kept > 0 and ranks[kept - 1] > rank:
            kept -= 1
            places[total] = places[kept]
            known[total] = known[kept]
            ranks[total] = ranks[kept]
            scores[total] = scores[kept]
        else:
            added -= 1
            row = row_of(keys[added])
            places[total] = part << PART_SHIFT | row
            known[total] = ids[row] if len(ids) > 0 else u64(row)
            ranks[total] = rank
            scores[total] = score_of(rank, scoring=scoring)


@kernel
def deliver_two(
    values: View[f32, 2],
    ids: View[u64, 1],
    k: index,
    keys: MutView[u64, 1],
    places: MutView[index, 1],
    known: MutView[u64, 1],
    ranks: MutView[f32, 1],
    scores: MutView[f64, 1],
    answered: MutView[index, 1],
    *,
    scoring: Const,
):
    """Merge the sorted ranks of two parts: what the sweep compares."""
    for part in range(2):
        for i in range(values.shape[1]):
            keys[i] = rank_key(values[part, i], values.shape[1] - 1 - i)
        deliver(
            keys, values.shape[1], ids, part, k, places, known, ranks, scores, answered, offset=1.0, scoring=scoring
        )


SCORES = {
    ROOT: lambda rank: np.sqrt(np.maximum(rank, 0)),
    MINUS: lambda rank: -rank,
    LESS_ONE: lambda rank: 1 - rank,
    SAME: lambda rank: rank,
}


def reference_deliver_two(scoring):
    """Return the NumPy form for a way to score."""

    def reference(values, ids, k, keys, places, known, ranks, scores, answered):
        n = values.shape[1]
        high = (values[1] + np.float32(0)).view(np.uint32)
        high = high ^ np.where(high >> 31, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
        keys[:] = high.astype(np.uint64) << np.uint64(32) | np.arange(n, dtype=np.uint64)[::-1]
        flat = (values + np.float32(1)).reshape(-1)
        order = [i for i in np.argsort(flat, kind="stable") if np.isfinite(flat[i])][:k]
        m = answered[0] = len(order)
        part, row = np.array(order, np.int64) // max(n, 1), n - 1 - np.array(order, np.int64) % max(n, 1)
        places[:m] = part << PART_SHIFT | row
        known[:m] = ids[row] if len(ids) else row
        ranks[:m] = flat[order]
        scores[:m] = SCORES[scoring](flat[order].astype(np.float64))

    return reference


def cases(rng):
    """More and fewer than wanted, none, equal ranks, infinity; with ids and without."""
    made = []
    for n, k, has_ids in ((0, 3, False), (4, 3, True), (4, 20, False), (6, 9, True)):
        values = np.sort(rng.integers(-9, 9, (2, n)).astype(np.float32) / 2, axis=1)
        values[:, 4:5] = np.inf
        values[:, 5:] = np.inf
        ids = rng.integers(0, 1 << 63, n * has_ids, dtype=np.uint64)
        made.append((
            values, ids, k, np.zeros(n, np.uint64), np.zeros(k, np.int64), np.zeros(k, np.uint64),
            np.zeros(k, np.float32), np.zeros(k, np.float64), np.zeros(ANSWER_WORDS, np.int64),
        ))  # fmt: skip
    return made


SWEEPS = tuple(
    Sweep(
        deliver_two,
        reference_deliver_two(scoring),
        cases,
        named=(("scoring", scoring),),
        label=f"deliver_{name}",
    )
    for name, scoring in (("root", ROOT), ("minus", MINUS), ("less_one", LESS_ONE), ("same", SAME))
)
