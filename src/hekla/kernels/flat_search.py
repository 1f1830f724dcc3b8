"""Exact search: every row that is allowed is measured, the nearest are kept, the rows shared among threads.

Shapes:  query (d,), rows (n, d) of what `scores` takes; allowed, dead: bitmaps over rows, u64, or of length 0;
         best (threads, k) u64: keys in order, each thread's own; counts (threads,) index: how many of them.
Keys:    the f32 score times `sign` as a whole number that is ordered as it is, then 32 bits of the row.
Cost:    64 rows are measured at a time; where few of them are allowed, those only.
Source:  definition; the oracle of the graph search.
"""

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.distances import (
    cosine_f16_many,
    cosine_many,
    dot_f16_many,
    dot_many,
    reference_dot,
    reference_squared_l2,
    squared_l2_f16_many,
    squared_l2_many,
)
from hekla.kernels.distances_i8 import cosine_i8_many, dot_i8_many, squared_l2_i8_many
from hekla.kernels.distances_l1 import hamming_many, manhattan_f16_many, manhattan_many
from hekla.kernels.graph_pool import FULL_KEY, insert
from hekla.kernels.sizes import normal
from hekla.kernels.top_k import ordered
from hekla.lang import (
    Array,
    Const,
    Function,
    MutView,
    TypeParam,
    View,
    f32,
    i64,
    index,
    kernel,
    parallel,
    popcount,
    trailing_zeros,
    u64,
)
from hekla.lang.sweep import Sweep

T = TypeParam("T")
WORD, FEW = 64, 16  # rows at a time; fewer are measured one by one
SCORES = {  # metric and element type -> (kernel, sign that makes the nearest the smallest)
    ("l2", "float32"): (squared_l2_many, 1.0),
    ("l2", "float16"): (squared_l2_f16_many, 1.0),
    ("l2", "int8"): (squared_l2_i8_many, 1.0),
    ("dot", "float32"): (dot_many, -1.0),
    ("dot", "float16"): (dot_f16_many, -1.0),
    ("dot", "int8"): (dot_i8_many, -1.0),
    ("cosine", "float32"): (cosine_many, -1.0),
    ("cosine", "float16"): (cosine_f16_many, -1.0),
    ("cosine", "int8"): (cosine_i8_many, -1.0),
    ("manhattan", "float32"): (manhattan_many, 1.0),
    ("manhattan", "float16"): (manhattan_f16_many, 1.0),
    ("hamming", "uint8"): (hamming_many, 1.0),
}


def scores_of(keys: NDArray[np.uint64], sign: float) -> NDArray[np.float32]:
    """Return the scores of keys, (k,) f32."""
    high = (keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(high & np.uint32(0x80000000), high ^ np.uint32(0x80000000), ~high)
    return bits.view(np.float32) * np.float32(sign)


def rows_of(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the rows of keys, (k,) i64."""
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def bits_of(bitmap, n):
    """Return the first n bits of a bitmap, 0 past its end."""
    bits = np.unpackbits(bitmap.view(np.uint8), bitorder="little")[:n].astype(np.int64)
    return np.pad(bits, (0, n - len(bits)))


def reference_flat_nearest(pair, sign):
    """Return the NumPy form for a pairwise score."""

    def reference(query, rows, allowed, dead, threads, best, counts):
        n, k = len(rows), best.shape[1]
        passing = bits_of(allowed, n) if len(allowed) else np.ones(n)
        passing = passing * (1 - bits_of(dead, n))
        words = -(-n // WORD)
        for t in range(threads):
            some = range(min(n, t * words // threads * WORD), min(n, (t + 1) * words // threads * WORD))
            scores = {r: sign * np.float32(pair(query, rows[r])) + np.float32(0) for r in some if passing[r]}
            order = sorted(scores, key=lambda r: (scores[r], r))[:k]
            bits = np.array([scores[r] for r in order], np.float32).view(np.uint32)
            high = bits ^ np.where(bits >> 31, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
            best[t, : len(order)] = high.astype(np.uint64) << np.uint64(32) | np.array(order, np.uint64)
            counts[t] = len(order)

    return reference


@kernel(inline=True)
def offer_score(best: MutView[u64, 1], count: index, score: f32, row: index, *, sign: Const) -> index:
    """Offer a row; return how many are kept then."""
    key = u64(ordered(score, sign=sign)) << 32 | u64(row)
    if insert(best, count, key) < len(best) and count < len(best):
        return count + 1
    return count


@kernel
def flat_nearest(
    query: View[T, 1],
    rows: View[T, 2],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    threads: index,
    best: MutView[u64, 2],
    counts: MutView[index, 1],
    *,
    scores: Function,
    sign: Const,
):
    n = rows.shape[0]
    words = (n + WORD - 1) // WORD
    for t in parallel(threads, unproved="a thread writes its own row of best and counts"):
        found = Array[f32, WORD](0.0)
        count = 0
        for w in range(t * words // threads, (t + 1) * words // threads):
            first = w * WORD
            last = min(n, first + WORD)
            word = u64(FULL_KEY)
            if len(allowed) > 0:
                word = allowed[w] if w < len(allowed) else u64(0)
            if w < len(dead):
                word &= ~dead[w]
            if n - first < WORD:
                word &= (u64(1) << u64(n - first)) - 1
            many = i64(popcount(word)) >= FEW
            if many:
                scores(query, rows[first:last], found.mut()[0 : last - first])
            while word != 0:
                row = index(i64(trailing_zeros(word)))
                word &= word - 1
                if not many:
                    scores(query, rows[first + row : first + row + 1], found.mut()[row : row + 1])
                count = offer_score(best[t], count, found[row], first + row, sign=sign)
        counts[t] = count


def cases(dtype):
    """More and fewer rows than wanted; all, many, few and none allowed; dead ones."""

    def make(rng):
        made = []
        none = np.zeros(0, np.uint64)
        few, most = np.array([1 << 5, 7], np.uint64), np.array([FULL_KEY - 5, FULL_KEY - 9], np.uint64)
        for n, k, allowed, dead, threads in (
            (0, 3, none, none, 1), (3, 5, none, none, 2), (100, 4, most, few, 1), (130, 6, few, none, 2),
            (90, 3, none, most, 2),
        ):  # fmt: skip
            rows = rng.integers(-4, 5, (n, 9)) if dtype != np.uint8 else normal(rng, (n, 9), np.uint8)
            query = rng.integers(-4, 5, 9) if dtype != np.uint8 else normal(rng, (9,), np.uint8)
            best, counts = np.zeros((threads, k), np.uint64), np.zeros(threads, np.int64)
            made.append((query.astype(dtype), rows.astype(dtype), allowed, dead, threads, best, counts))
        return made

    return make


def reference_manhattan(x, y):
    """Say it in NumPy."""
    return np.abs(x.astype(np.float64) - y.astype(np.float64)).sum()


def reference_hamming(x, y):
    """Say it in NumPy."""
    return np.bitwise_count(x ^ y).sum()


PAIRS = {
    "l2": reference_squared_l2,
    "dot": reference_dot,
    "manhattan": reference_manhattan,
    "hamming": reference_hamming,
}
# whole numbers, so that every way to add is exact; cosine, which is not, is compared through `hekla.vector`
SWEEPS = tuple(
    Sweep(
        flat_nearest, reference_flat_nearest(PAIRS[metric], sign), cases(np.dtype(kind).type),
        named=(("scores", scores), ("sign", sign)), label=f"flat_{metric}_{kind}",
    )
    for (metric, kind), (scores, sign) in SCORES.items()
    if metric in PAIRS
)  # fmt: skip
