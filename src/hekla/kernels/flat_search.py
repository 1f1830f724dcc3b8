"""Exact search: every row that is allowed is measured, the nearest are kept, the rows shared among threads.

Shapes:  query (d,), rows (n, d) of what `scores` takes; allowed, dead: bitmaps over rows, u64, or of length 0;
         best (threads, k) u64: keys in order, each thread's own; counts (threads,) index: how many of them.
Keys:    the f32 score times `sign` as a whole number that is ordered as it is, then 32 bits of the row.
Cost:    64 rows are measured at a time; where few of them are allowed, those only.
Source:  definition; the oracle of the graph search.
"""

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.answer import ANSWER_COUNT, ANSWER_IS_ZERO, ANSWER_WORDS, PART_SHIFT, deliver
from hekla.kernels.distances import reference_dot, reference_squared_l2
from hekla.kernels.graph_pool import FULL_KEY, insert
from hekla.kernels.graph_state import FARTHEST
from hekla.kernels.measures import MEASURES, SAME
from hekla.kernels.sizes import normal
from hekla.kernels.top_k import ordered
from hekla.lang import (
    Array,
    Const,
    Function,
    MutView,
    TypeParam,
    Vec,
    View,
    f32,
    f64,
    fma,
    i64,
    index,
    kernel,
    load,
    parallel,
    popcount,
    reduce_add,
    trailing_zeros,
    u64,
)
from hekla.lang.sweep import Sweep

T = TypeParam("T")
WORD, LANES, FEW = 64, 16, 16  # rows at a time; fewer are measured one by one


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


@kernel(inline=True)
def scan_words(
    query: View[T, 1],
    rows: View[T, 2],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    first_word: index,
    last_word: index,
    best: MutView[u64, 1],
    *,
    scores: Function,
    sign: Const,
) -> index:
    """Offer the rows of some words of the bitmaps; return how many are kept."""
    n = rows.shape[0]
    found = Array[f32, WORD](0.0)
    count = 0
    for w in range(first_word, last_word):
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
            count = offer_score(best, count, found[row], first + row, sign=sign)
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
    words = (rows.shape[0] + WORD - 1) // WORD
    for t in parallel(threads, unproved="a thread writes its own row of best and counts"):
        counts[t] = scan_words(
            query, rows, allowed, dead, t * words // threads, (t + 1) * words // threads, best[t],
            scores=scores, sign=sign,
        )  # fmt: skip


@kernel
def flat_answer(
    query: View[T, 1],
    rows: View[T, 2],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    ids: View[u64, 1],
    part: index,
    first_word: index,
    last_word: index,
    k: index,
    best: MutView[u64, 1],
    places: MutView[index, 1],
    known: MutView[u64, 1],
    ranks: MutView[f32, 1],
    found: MutView[f64, 1],
    answered: MutView[index, 1],
    *,
    scores: Function,
    sign: Const,
    offset: Const,
    scoring: Const,
) -> bool:
    """Merge the nearest rows of a part, of some words of its bitmaps, into the answer (`answer`); best is working
    memory. Return whether the query
    has neither NaN nor infinity.
    """
    squares = Vec[f32, LANES](0.0)
    for i in range(0, len(query), LANES):
        v = f32(load(query, i, width=LANES, count=len(query) - i))
        squares = fma(v, v, squares)
    square = reduce_add(squares)
    if not (square < FARTHEST):
        return False
    words = min(last_word, (rows.shape[0] + WORD - 1) // WORD)
    count = scan_words(query, rows, allowed, dead, first_word, words, best[0:k], scores=scores, sign=sign)
    deliver(best, count, ids, part, k, places, known, ranks, found, answered, offset=offset, scoring=scoring)
    answered[ANSWER_IS_ZERO] = index(i64(square == 0.0))
    return True


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


def reference_flat_answer(pair, sign):
    """Return the NumPy form for a pairwise score."""
    scan = reference_flat_nearest(pair, sign)

    def reference(query, rows, allowed, dead, ids, part, first, last, k, best, places, known, ranks, found, answered):
        counts = np.zeros(1, np.int64)
        scan(query, rows, allowed, dead, 1, best[None, :k], counts)
        keys = best[: int(counts[0])]
        m = answered[ANSWER_COUNT] = len(keys)
        answered[ANSWER_IS_ZERO] = not query.any()
        places[:m] = part << PART_SHIFT | rows_of(keys)
        known[:m] = ids[rows_of(keys)]
        ranks[:m] = scores_of(keys, 1.0)
        found[:m] = ranks[:m]
        return True

    return reference


def answer_cases(dtype):
    """The rows of `cases` with ids."""

    def make(rng):
        return [
            (
                query, rows, allowed, dead, rng.integers(0, 1 << 60, len(rows), dtype=np.uint64), 3, 0, 9,
                best.shape[1], best[0].copy(), np.zeros(best.shape[1], np.int64), np.zeros(best.shape[1], np.uint64),
                np.zeros(best.shape[1], np.float32), np.zeros(best.shape[1]), np.zeros(ANSWER_WORDS, np.int64),
            )
            for query, rows, allowed, dead, _, best, _ in cases(dtype)(rng)
        ]  # fmt: skip

    return make


# whole numbers, so that every way to add is exact; cosine, which is not, is compared through `hekla.vector`
SWEEPS = (
    *(
        Sweep(
            flat_nearest, reference_flat_nearest(PAIRS[metric], measure.sign), cases(np.dtype(kind).type),
            named=(("scores", measure.many), ("sign", measure.sign)), label=f"flat_{metric}_{kind}",
        )
        for (metric, kind), measure in MEASURES.items()
        if metric in PAIRS
    ),
    *(
        Sweep(
            flat_answer, reference_flat_answer(PAIRS[metric], MEASURES[metric, kind].sign),
            answer_cases(np.dtype(kind).type),
            named=(
                ("scores", MEASURES[metric, kind].many), ("sign", MEASURES[metric, kind].sign), ("offset", 0.0),
                ("scoring", SAME),
            ),
            label=f"flat_answer_{metric}_{kind}",
        )
        for metric, kind in (("l2", "float32"), ("dot", "int8"), ("hamming", "uint8"))
    ),
)  # fmt: skip
