"""The rows with the greatest scores by terms: words (BM25) or the dimensions of sparse vectors.

Shapes:  rows (m,) u32 and weights (m,) beside, term after term, the rows of one rising; starts, ends (t,) i64: where a
         term's rows stand; factors (t,) f32; lengths (n,) u32, words of each row, of length 0 for sparse vectors;
         allowed, dead: bitmaps over rows, u64, or of length 0; places (t,) i64: working memory; best (k,) u64.
Scores:  the sum over the terms that a row has of factor * weight; of words, with weight w and length l,
         factor * w / (w + least + slope * l). Rows whose sum is not above 0 are not found.
Result:  how many of best are filled: keys in order, the best first, as `hekla.kernels.flat_search` has them, equals by
         row. Where best has room for every row of every term (is_all) the keys are in the order of rows instead.
         -1 where terms name rows past the end or that do not rise, which only damaged files do.
Cost:    one pass over the rows of the terms, 4096 rows of the collection at a time, so that sums stay in the cache;
         nothing is done for rows that have none of the terms.
Source:  Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; windows as in
         Lucene's BooleanScorer.
"""

import numpy as np

from hekla.kernels.flat_search import bits_of, offer_score
from hekla.kernels.top_k import ordered
from hekla.lang import Array, Const, MutView, TypeParam, View, f32, i64, index, kernel, trailing_zeros, u16, u32, u64
from hekla.lang.sweep import Sweep

T = TypeParam("T")
WINDOW, WORD = 4096, 64
NONE = 1 << 62


def reference_best(*given, is_words):
    """Say it in NumPy."""
    rows, weights, starts, ends, factors, lengths, allowed, dead, n, least, slope, places, best, is_all = given
    sums = np.zeros(n, np.float32)
    for start, end, factor in zip(starts, ends, factors, strict=True):
        some, w = rows[start:end], weights[start:end].astype(np.float32)
        if is_words:
            w = w / (w + (np.float32(least) + np.float32(slope) * lengths[some].astype(np.float32)))
        sums[some] += factor * w
    passing = bits_of(allowed, n) if len(allowed) else np.ones(n)
    passing = passing * (1 - bits_of(dead, n))
    found = np.flatnonzero((sums > 0) & (passing > 0))
    if not is_all:
        found = found[np.lexsort((found, -sums[found]))][: len(best)]
    places[:] = ends
    bits = (-sums[found]).astype(np.float32).view(np.uint32)
    high = bits ^ np.where(bits >> 31, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
    best[: len(found)] = high.astype(np.uint64) << np.uint64(32) | found.astype(np.uint64)
    return len(found)


@kernel(inline=True)
def lowest(rows: View[u32, 1], places: View[i64, 1], ends: View[i64, 1]) -> index:
    """Return the first row that a term comes to, or NONE."""
    first = NONE
    for t in range(len(ends)):
        if places[t] < ends[t]:
            first = min(first, index(rows[index(places[t])]))
    return first


@kernel(inline=True)
def add_term(
    rows: View[u32, 1],
    weights: View[T, 1],
    start: index,
    end: index,
    factor: f32,
    lengths: View[u32, 1],
    base: index,
    n: index,
    least: f32,
    slope: f32,
    sums: MutView[f32, 1],
    touched: MutView[u64, 1],
    *,
    is_words: Const,
) -> index:
    """Add a term to the sums of a window; return where its next row stands, -1 where rows are not as they must be."""
    i = start
    before = base - 1
    while i < end:
        row = index(rows[i])
        at = row - base
        if at >= WINDOW:
            return i
        if row <= before or row >= n:
            return -1
        before = row
        gain = f32(weights[i])
        if is_words:
            gain = gain / (gain + (least + slope * f32(lengths[row])))
        gain = factor * gain
        bit = u64(1) << u64(at % WORD)
        if touched[at // WORD] & bit == 0:
            touched[at // WORD] |= bit
            sums[at] = gain
        else:
            sums[at] += gain
        i += 1
    return i


@kernel(inline=True)
def passing(word: u64, allowed: View[u64, 1], dead: View[u64, 1], of: index) -> u64:
    """Return which bits of a word of rows are allowed and not dead."""
    found = word
    if len(allowed) > 0:
        found &= allowed[of] if of < len(allowed) else u64(0)
    if of < len(dead):
        found &= ~dead[of]
    return found


@kernel(inline=True)
def offer(best: MutView[u64, 1], count: index, score: f32, row: index, is_all: bool) -> index:
    """Keep a row; return how many are kept then."""
    if is_all and count < len(best):
        best[count] = u64(ordered(score, sign=-1.0)) << 32 | u64(row)
        return count + 1
    return offer_score(best, count, score, row, sign=-1.0)


@kernel(inline=True)
def best_of_terms(
    rows: View[u32, 1],
    weights: View[T, 1],
    starts: View[i64, 1],
    ends: View[i64, 1],
    factors: View[f32, 1],
    lengths: View[u32, 1],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    n: index,
    least: f32,
    slope: f32,
    places: MutView[i64, 1],
    best: MutView[u64, 1],
    is_all: bool,
    *,
    is_words: Const,
) -> index:
    sums = Array[f32, WINDOW](0.0)
    touched = Array[u64, WINDOW // WORD](0)
    count = 0
    for t in range(len(starts)):
        places[t] = starts[t]
        if starts[t] < 0 or ends[t] > i64(len(rows)):
            return -1
    first = lowest(rows, places, ends)
    while first != NONE:
        if first >= n:
            return -1
        base = first // WINDOW * WINDOW
        for t in range(len(starts)):
            at = add_term(
                rows, weights, index(places[t]), index(ends[t]), factors[t], lengths, base, n, least, slope, sums.mut(),
                touched.mut(), is_words=is_words,
            )  # fmt: skip
            if at < 0:
                return -1
            places[t] = i64(at)
        for w in range(WINDOW // WORD):
            word = passing(touched[w], allowed, dead, base // WORD + w)
            touched[w] = 0
            while word != 0:
                at = w * WORD + index(i64(trailing_zeros(word)))
                word &= word - 1
                if sums[at] > 0.0:
                    count = offer(best, count, sums[at], base + at, is_all)
        first = lowest(rows, places, ends)
    return count


@kernel
def best_of_words(
    rows: View[u32, 1],
    counts: View[u16, 1],
    starts: View[i64, 1],
    ends: View[i64, 1],
    factors: View[f32, 1],
    lengths: View[u32, 1],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    n: index,
    least: f32,
    slope: f32,
    places: MutView[i64, 1],
    best: MutView[u64, 1],
    is_all: bool,
) -> index:
    return best_of_terms(
        rows,
        counts,
        starts,
        ends,
        factors,
        lengths,
        allowed,
        dead,
        n,
        least,
        slope,
        places,
        best,
        is_all,
        is_words=True,
    )


@kernel
def best_of_dimensions(
    rows: View[u32, 1],
    weights: View[f32, 1],
    starts: View[i64, 1],
    ends: View[i64, 1],
    factors: View[f32, 1],
    lengths: View[u32, 1],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    n: index,
    least: f32,
    slope: f32,
    places: MutView[i64, 1],
    best: MutView[u64, 1],
    is_all: bool,
) -> index:
    return best_of_terms(
        rows, weights, starts, ends, factors, lengths, allowed, dead, n, least, slope, places, best, is_all,
        is_words=False,
    )  # fmt: skip


def cases(dtype):
    """No terms, common and rare ones, several windows; filters; rows past the end; all and some wanted."""

    def make(rng):
        made = []
        none = np.zeros(0, np.uint64)
        for n, shares, k, is_all in (
            (0, (), 3, False), (70, (0.5,), 4, False), (5000, (0.3, 0.01, 0.9), 10, False),
            (9000, (0.02, 0.1), 3, True), (20_000, (0.001, 0.0), 6, False), (100, (0.6, 0.6), 200, False),
        ):  # fmt: skip
            each = [np.flatnonzero(rng.random(n) < share) for share in shares]
            ends = np.cumsum([len(some) for some in each], dtype=np.int64)
            starts = ends - np.array([len(some) for some in each], np.int64)
            rows = np.concatenate([*each, np.zeros(0)]).astype(np.uint32)
            weights = rng.integers(1, 4, len(rows)) if dtype == np.uint16 else rng.integers(-2, 5, len(rows))
            factors = rng.integers(1, 4, len(shares)).astype(np.float32)
            lengths = rng.integers(1, 9, n).astype(np.uint32)
            words = rng.integers(0, 1 << 64, -(-n // 64), dtype=np.uint64)
            best = np.zeros(len(rows) if is_all else k, np.uint64)
            for allowed, dead in ((none, none), (words, none), (none, words), (words[:1], words)):
                made.append((
                    rows, weights.astype(dtype), starts, ends, factors, lengths, allowed, dead, n, 0.25, 0.5,
                    np.zeros(len(shares), np.int64), best.copy(), is_all,
                ))  # fmt: skip
        return made

    return make


SWEEPS = (
    Sweep(best_of_words, lambda *given: reference_best(*given, is_words=True), cases(np.uint16)),
    Sweep(best_of_dimensions, lambda *given: reference_best(*given, is_words=False), cases(np.float32)),
)
