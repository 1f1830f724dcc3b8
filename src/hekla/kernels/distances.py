"""Dot product, squared Euclidean distance and cosine similarity of floats: a pair, or one query to many rows.

Shapes:  pair: x (n,), y (n,) -> f32;  many: query (n,), rows (m, n) -> out (m,) f32;
         listed: query (n,), rows (r, n), places (m,) u32, each below r -> out (m,) f32.
Types:   f32, f16 and bf16; products and sums in f32.
Layout:  a row is dense; any distance between rows. The rows of `many` follow each other, which the machine foresees:
         prefetching them cost 20 % in the L2 cache and gained 10 % from L3. Listed rows are fetched 8 rows ahead,
         which halves the time from memory for f16 and i8.
Errors:  sums in f32 of 64 (pair) or 32 (many) partial sums: relative 1e-6 * sqrt(n) of the sum of magnitudes, about.
Cosine:  of a zero vector with anything is 0.
Source:  definition.
"""

import ml_dtypes
import numpy as np

from hekla.kernels.lanes import four_sums
from hekla.kernels.sizes import around, normal, pairs
from hekla.lang import (
    Array,
    Const,
    Function,
    MutView,
    TypeParam,
    Vec,
    View,
    bf16,
    f16,
    f32,
    fma,
    index,
    kernel,
    load,
    prefetch,
    reduce_add,
    select,
    sqrt,
    store,
    u32,
    unroll,
)
from hekla.lang.sweep import Sweep

LANES, PARTS = 16, 4  # four accumulators hide the latency of fma
STEP = LANES * PARTS
GROUP, GROUP_PARTS = 4, 2  # rows at once, accumulators of each
GROUP_STEP = LANES * GROUP_PARTS
AHEAD = 2 * GROUP  # how many rows ahead listed rows are fetched
T = TypeParam("T")


def reference_dot(x, y):
    """Say it in NumPy."""
    return np.dot(x.astype(np.float64), y.astype(np.float64))


def reference_squared_l2(x, y):
    """Say it in NumPy."""
    return ((x.astype(np.float64) - y.astype(np.float64)) ** 2).sum()


def reference_cosine(x, y):
    """Say it in NumPy."""
    norms = np.sqrt(reference_dot(x, x) * reference_dot(y, y))
    return reference_dot(x, y) / norms if norms > 0 else 0.0


def reference_many(pair):
    """Return the one-to-many form of a pairwise reference."""

    def reference(query, rows, out):
        out[:] = [pair(query, row) for row in rows]

    return reference


def reference_listed(pair):
    """Return the form of a pairwise reference for rows named by their places."""

    def reference(query, rows, places, out):
        out[:] = [pair(query, rows[place]) for place in places]

    return reference


@kernel(inline=True)
def multiply_add(a: Vec[f32, LANES], b: Vec[f32, LANES], total: Vec[f32, LANES]) -> Vec[f32, LANES]:
    return fma(a, b, total)


@kernel(inline=True)
def square_add(a: Vec[f32, LANES], b: Vec[f32, LANES], total: Vec[f32, LANES]) -> Vec[f32, LANES]:
    d = a - b
    return fma(d, d, total)


@kernel(inline=True)
def part(x: View[T, 1], i: index) -> Vec[f32, LANES]:
    return f32(load(x, i, width=LANES))


@kernel(inline=True)
def last_part(x: View[T, 1], i: index) -> Vec[f32, LANES]:
    return f32(load(x, i, width=LANES, count=len(x) - i))


@kernel(inline=True)
def pair(x: View[T, 1], y: View[T, 1], *, f: Function) -> f32:
    n = len(x)
    totals = Array[Vec[f32, LANES], PARTS](0.0)
    whole = n - n % STEP
    for i in range(0, whole, STEP):
        for p in unroll(range(PARTS)):
            totals[p] = f(part(x, i + p * LANES), part(y, i + p * LANES), totals[p])
    for p in unroll(range(PARTS)):
        at = whole + p * LANES
        if at < n:
            totals[p] = f(last_part(x, at), last_part(y, at), totals[p])
    return reduce_add((totals[0] + totals[1]) + (totals[2] + totals[3]))


@kernel(inline=True)
def cosine_pair(x: View[T, 1], y: View[T, 1]) -> f32:
    n = len(x)
    xy = Array[Vec[f32, LANES], GROUP_PARTS](0.0)
    xx = Array[Vec[f32, LANES], GROUP_PARTS](0.0)
    yy = Array[Vec[f32, LANES], GROUP_PARTS](0.0)
    whole = n - n % GROUP_STEP
    for i in range(0, whole, GROUP_STEP):
        for p in unroll(range(GROUP_PARTS)):
            a = part(x, i + p * LANES)
            b = part(y, i + p * LANES)
            xy[p] = fma(a, b, xy[p])
            xx[p] = fma(a, a, xx[p])
            yy[p] = fma(b, b, yy[p])
    for p in unroll(range(GROUP_PARTS)):
        at = whole + p * LANES
        if at < n:
            a = last_part(x, at)
            b = last_part(y, at)
            xy[p] = fma(a, b, xy[p])
            xx[p] = fma(a, a, xx[p])
            yy[p] = fma(b, b, yy[p])
    sums = four_sums(xy[0] + xy[1], xx[0] + xx[1], yy[0] + yy[1], Vec[f32, LANES](0.0))
    return divided(sums[0], sqrt(sums[1]) * sqrt(sums[2]))


V = TypeParam("V")  # f32 or a vector of it


@kernel(inline=True)
def divided(product: V, norms: V) -> V:
    is_divisor = norms > 0.0
    return select(is_divisor, product, 0.0) / select(is_divisor, norms, 1.0)


@kernel(inline=True)
def row_of(places: View[u32, 1], i: index, *, line: Const) -> index:
    if line > 0:
        return index(places[i])
    return i


@kernel(inline=True)
def fetch_ahead(rows: View[T, 2], places: View[u32, 1], first: index, *, line: Const):
    """Fetch the listed rows of the group after the next one; `line` elements fill a cache line, 0 fetches nothing."""
    if line > 0:
        for r in range(first + AHEAD, min(first + AHEAD + GROUP, len(places))):
            ahead = index(places[r])
            for i in range(0, rows.shape[1], line):
                prefetch(rows, ahead, i)


@kernel(inline=True)
def many(
    query: View[T, 1],
    rows: View[T, 2],
    places: View[u32, 1],
    out: MutView[f32, 1],
    *,
    f: Function,
    line: Const = 0,
    is_cosine: Const = False,
):
    """Score each row, or with a `line` (how many elements fill a cache line) each row that `places` names."""
    m = len(out)
    n = len(query)
    whole = n - n % GROUP_STEP
    norm = f32(0.0)
    if is_cosine:
        norm = sqrt(pair(query, query, f=multiply_add))
    for first in range(0, m, GROUP):
        fetch_ahead(rows, places, first, line=line)
        totals = Array[Vec[f32, LANES], GROUP * GROUP_PARTS](0.0)
        squares = Array[Vec[f32, LANES], GROUP](0.0)
        for i in range(0, whole, GROUP_STEP):
            for p in unroll(range(GROUP_PARTS)):
                q = part(query, i + p * LANES)
                for r in unroll(range(GROUP)):
                    # past the last row: that row again, not stored
                    row = rows[row_of(places, min(first + r, m - 1), line=line)]
                    v = part(row, i + p * LANES)
                    totals[r * GROUP_PARTS + p] = f(v, q, totals[r * GROUP_PARTS + p])
                    if is_cosine:
                        squares[r] = fma(v, v, squares[r])
        for i in range(whole, n, LANES):
            q = last_part(query, i)
            for r in unroll(range(GROUP)):
                row = rows[row_of(places, min(first + r, m - 1), line=line)]
                v = last_part(row, i)
                totals[r * GROUP_PARTS] = f(v, q, totals[r * GROUP_PARTS])
                if is_cosine:
                    squares[r] = fma(v, v, squares[r])
        for r in unroll(range(GROUP)):
            totals[r] = totals[r * GROUP_PARTS] + totals[r * GROUP_PARTS + 1]
        scores = four_sums(totals[0], totals[1], totals[2], totals[3])
        if is_cosine:
            scores = divided(scores, sqrt(four_sums(squares[0], squares[1], squares[2], squares[3])) * norm)
        store(out, first, scores, count=m - first)


@kernel
def dot(x: View[f32, 1], y: View[f32, 1]) -> f32:
    return pair(x, y, f=multiply_add)


@kernel
def squared_l2(x: View[f32, 1], y: View[f32, 1]) -> f32:
    return pair(x, y, f=square_add)


@kernel
def cosine(x: View[f32, 1], y: View[f32, 1]) -> f32:
    return cosine_pair(x, y)


@kernel
def dot_f16(x: View[f16, 1], y: View[f16, 1]) -> f32:
    return pair(x, y, f=multiply_add)


@kernel
def squared_l2_f16(x: View[f16, 1], y: View[f16, 1]) -> f32:
    return pair(x, y, f=square_add)


@kernel
def cosine_f16(x: View[f16, 1], y: View[f16, 1]) -> f32:
    return cosine_pair(x, y)


@kernel
def dot_bf16(x: View[bf16, 1], y: View[bf16, 1]) -> f32:
    return pair(x, y, f=multiply_add)


@kernel
def dot_many(query: View[f32, 1], rows: View[f32, 2], out: MutView[f32, 1]):
    none = Array[u32, 1](0)
    many(query, rows, none.view(), out, f=multiply_add)


@kernel
def squared_l2_many(query: View[f32, 1], rows: View[f32, 2], out: MutView[f32, 1]):
    none = Array[u32, 1](0)
    many(query, rows, none.view(), out, f=square_add)


@kernel
def cosine_many(query: View[f32, 1], rows: View[f32, 2], out: MutView[f32, 1]):
    none = Array[u32, 1](0)
    many(query, rows, none.view(), out, f=multiply_add, is_cosine=True)


@kernel
def dot_f16_many(query: View[f16, 1], rows: View[f16, 2], out: MutView[f32, 1]):
    none = Array[u32, 1](0)
    many(query, rows, none.view(), out, f=multiply_add)


@kernel
def squared_l2_f16_many(query: View[f16, 1], rows: View[f16, 2], out: MutView[f32, 1]):
    none = Array[u32, 1](0)
    many(query, rows, none.view(), out, f=square_add)


@kernel
def cosine_f16_many(query: View[f16, 1], rows: View[f16, 2], out: MutView[f32, 1]):
    none = Array[u32, 1](0)
    many(query, rows, none.view(), out, f=multiply_add, is_cosine=True)


@kernel
def dot_bf16_many(query: View[bf16, 1], rows: View[bf16, 2], out: MutView[f32, 1]):
    none = Array[u32, 1](0)
    many(query, rows, none.view(), out, f=multiply_add)


@kernel
def dot_listed(query: View[f32, 1], rows: View[f32, 2], places: View[u32, 1], out: MutView[f32, 1]):
    many(query, rows, places, out, f=multiply_add, line=16)


@kernel
def squared_l2_listed(query: View[f32, 1], rows: View[f32, 2], places: View[u32, 1], out: MutView[f32, 1]):
    many(query, rows, places, out, f=square_add, line=16)


@kernel
def dot_f16_listed(query: View[f16, 1], rows: View[f16, 2], places: View[u32, 1], out: MutView[f32, 1]):
    many(query, rows, places, out, f=multiply_add, line=32)


@kernel
def squared_l2_f16_listed(query: View[f16, 1], rows: View[f16, 2], places: View[u32, 1], out: MutView[f32, 1]):
    many(query, rows, places, out, f=square_add, line=32)


def many_cases(dtype):
    """Rows of awkward length, fewer and more than a group; a row of zeros."""

    def cases(rng):
        made = [
            (normal(rng, (n,), dtype), normal(rng, (m, n), dtype), np.zeros(m, np.float32))
            for m, n in ((0, 5), (1, 32), (3, 31), (4, 33), (6, 100))
        ]
        made[-1][1][2] = 0
        return made

    return cases


def listed_cases(dtype):
    """The rows of `many_cases`, backwards and more than once."""

    def cases(rng):
        return [
            (query, rows, (np.arange(2 * m)[::-1] % m).astype(np.uint32), np.zeros(2 * m, np.float32))
            for query, rows, m in ((query, rows, len(out)) for query, rows, out in many_cases(dtype)(rng) if len(out))
        ]

    return cases


def pair_cases(dtype):
    """Pairs around the lanes and the step, and a pair of zeros."""
    return lambda rng: [*pairs(rng, around(LANES, STEP), dtype), (np.zeros(20, dtype), np.ones(20, dtype))]


PAIRS = (
    (dot, reference_dot, np.float32),
    (squared_l2, reference_squared_l2, np.float32),
    (cosine, reference_cosine, np.float32),
    (dot_f16, reference_dot, np.float16),
    (squared_l2_f16, reference_squared_l2, np.float16),
    (cosine_f16, reference_cosine, np.float16),
    (dot_bf16, reference_dot, ml_dtypes.bfloat16),
)
MANY = (
    (dot_many, reference_dot, np.float32),
    (squared_l2_many, reference_squared_l2, np.float32),
    (cosine_many, reference_cosine, np.float32),
    (dot_f16_many, reference_dot, np.float16),
    (squared_l2_f16_many, reference_squared_l2, np.float16),
    (cosine_f16_many, reference_cosine, np.float16),
    (dot_bf16_many, reference_dot, ml_dtypes.bfloat16),
)
LISTED = (
    (dot_listed, reference_dot, np.float32),
    (squared_l2_listed, reference_squared_l2, np.float32),
    (dot_f16_listed, reference_dot, np.float16),
    (squared_l2_f16_listed, reference_squared_l2, np.float16),
)

SWEEPS = (
    *(Sweep(k, reference, pair_cases(dtype), 1e-4, 1e-4) for k, reference, dtype in PAIRS),
    *(Sweep(k, reference_many(reference), many_cases(dtype), 1e-4, 1e-4) for k, reference, dtype in MANY),
    *(Sweep(k, reference_listed(reference), listed_cases(dtype), 1e-4, 1e-4) for k, reference, dtype in LISTED),
)
