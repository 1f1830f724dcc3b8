"""Dot product, squared Euclidean distance and cosine similarity of i8 vectors: a pair, or one query to many rows.

Shapes:  pair: x (n,), y (n,) -> f32;  many: query (n,), rows (m, n) -> out (m,) f32;
         listed: query (n,), rows (r, n), places (m,) u32, each below r -> out (m,) f32.
Errors:  sums are exact in i32 up to n = 32768, then rounded once to f32.
Layout:  a row is dense; any distance between rows.
Method:  the instruction multiplies u8 by i8. x + 128 is a u8 (one xor) and (x + 128) . y = x . y + 128 sum(y): for one
         query and many rows the sum of the query is known. |x - y| is a u8 d, and d . (d - 128) = d . d - 128 sum(d).
Cosine:  of a zero vector with anything is 0.
Source:  definition; AVX-512 VNNI `vpdpbusd`.
"""

import numpy as np

from hekla.kernels.distances import (
    GROUP,
    divided,
    fetch_ahead,
    reference_cosine,
    reference_dot,
    reference_listed,
    reference_many,
    reference_squared_l2,
    row_of,
)
from hekla.kernels.lanes import four_sums
from hekla.kernels.sizes import around, normal, pairs
from hekla.lang import (
    Array,
    Const,
    Function,
    MutView,
    Vec,
    View,
    bitcast,
    dot4,
    f32,
    i8,
    i32,
    index,
    kernel,
    load,
    reduce_add,
    sqrt,
    store,
    u8,
    u32,
    unroll,
)
from hekla.lang.sweep import Sweep

LANES, STEP = 16, 64
PARTS = 4  # accumulators of a pair, which hide the latency of the instruction


@kernel(inline=True)
def part(x: View[i8, 1], i: index) -> Vec[i8, STEP]:
    return load(x, i, width=STEP)


@kernel(inline=True)
def last_part(x: View[i8, 1], i: index) -> Vec[i8, STEP]:
    return load(x, i, width=STEP, count=len(x) - i)


@kernel(inline=True)
def flipped(x: Vec[i8, STEP]) -> Vec[u8, STEP]:
    """Return x + 128."""
    return bitcast(u8, x) ^ 128


@kernel(inline=True)
def product_add(a: Vec[i8, STEP], b: Vec[i8, STEP], total: Vec[i32, LANES]) -> Vec[i32, LANES]:
    """Add a . b + 128 sum(b)."""
    return dot4(total, flipped(a), b)


@kernel(inline=True)
def sum_add(_a: Vec[i8, STEP], b: Vec[i8, STEP], total: Vec[i32, LANES]) -> Vec[i32, LANES]:
    return dot4(total, Vec[u8, STEP](1), b)


@kernel(inline=True)
def gap(a: Vec[i8, STEP], b: Vec[i8, STEP]) -> Vec[u8, STEP]:
    """Return |a - b|."""
    return bitcast(u8, max(a, b) - min(a, b))


@kernel(inline=True)
def square_add(a: Vec[i8, STEP], b: Vec[i8, STEP], total: Vec[i32, LANES]) -> Vec[i32, LANES]:
    """Add d . d - 128 sum(d) for d = |a - b|."""
    d = gap(a, b)
    return dot4(total, d, bitcast(i8, d ^ 128))


@kernel(inline=True)
def gap_add(a: Vec[i8, STEP], b: Vec[i8, STEP], total: Vec[i32, LANES]) -> Vec[i32, LANES]:
    return dot4(total, gap(a, b), Vec[i8, STEP](1))


@kernel(inline=True)
def pair(x: View[i8, 1], y: View[i8, 1], *, f: Function, g: Function, weight: Const) -> f32:
    """Return the sum of f plus weight times the sum of g."""
    n = len(x)
    totals = Array[Vec[i32, LANES], PARTS](0)
    extras = Array[Vec[i32, LANES], PARTS](0)
    whole = n - n % (PARTS * STEP)
    for i in range(0, whole, PARTS * STEP):
        for p in unroll(range(PARTS)):
            a = part(x, i + p * STEP)
            b = part(y, i + p * STEP)
            totals[p] = f(a, b, totals[p])
            extras[p] = g(a, b, extras[p])
    for p in unroll(range(PARTS)):
        at = whole + p * STEP
        if at < n:
            a = last_part(x, at)
            b = last_part(y, at)
            totals[p] = f(a, b, totals[p])
            extras[p] = g(a, b, extras[p])
    for p in unroll(range(1, PARTS)):
        totals[0] += totals[p]
        extras[0] += extras[p]
    return f32(reduce_add(totals[0] + extras[0] * weight))


@kernel(inline=True)
def many(
    query: View[i8, 1],
    rows: View[i8, 2],
    places: View[u32, 1],
    out: MutView[f32, 1],
    *,
    f: Function,
    g: Function,
    weight: Const,
    line: Const = 0,
):
    """Score each row with the sum of f(row, query) plus weight times the sum of g(row, query); places as for f32."""
    m = len(out)
    n = len(query)
    whole = n - n % STEP
    for first in range(0, m, GROUP):
        fetch_ahead(rows, places, first, line=line)
        totals = Array[Vec[i32, LANES], GROUP](0)
        extras = Array[Vec[i32, LANES], GROUP](0)
        for i in range(0, whole, STEP):
            q = part(query, i)
            for r in unroll(range(GROUP)):
                # past the last row: that row again, not stored
                v = part(rows[row_of(places, min(first + r, m - 1), line=line)], i)
                totals[r] = f(v, q, totals[r])
                extras[r] = g(v, q, extras[r])
        if whole < n:
            q = last_part(query, whole)
            for r in unroll(range(GROUP)):
                v = last_part(rows[row_of(places, min(first + r, m - 1), line=line)], whole)
                totals[r] = f(v, q, totals[r])
                extras[r] = g(v, q, extras[r])
        for r in unroll(range(GROUP)):
            totals[r] += extras[r] * weight
        store(out, first, f32(four_sums(totals[0], totals[1], totals[2], totals[3])), count=m - first)


@kernel
def dot_i8(x: View[i8, 1], y: View[i8, 1]) -> f32:
    return pair(x, y, f=product_add, g=sum_add, weight=-128)


@kernel
def squared_l2_i8(x: View[i8, 1], y: View[i8, 1]) -> f32:
    return pair(x, y, f=square_add, g=gap_add, weight=128)


@kernel(inline=True)
def cosine_add(a: Vec[i8, STEP], b: Vec[i8, STEP], sums: MutView[i32, 2]):
    """Add a . b, a . a and b . b, with 128 times the sum of the second factor each, and the two sums."""
    store(sums, 0, 0, product_add(a, b, load(sums, 0, 0, width=LANES)))
    store(sums, 1, 0, product_add(a, a, load(sums, 1, 0, width=LANES)))
    store(sums, 2, 0, product_add(b, b, load(sums, 2, 0, width=LANES)))
    store(sums, 3, 0, sum_add(a, a, load(sums, 3, 0, width=LANES)))
    store(sums, 4, 0, sum_add(b, b, load(sums, 4, 0, width=LANES)))


@kernel
def cosine_i8(x: View[i8, 1], y: View[i8, 1]) -> f32:
    n = len(x)
    sums = Array[Array[i32, LANES], 5](Array[i32, LANES](0))
    others = Array[Array[i32, LANES], 5](Array[i32, LANES](0))
    whole = n - n % (2 * STEP)
    for i in range(0, whole, 2 * STEP):
        cosine_add(part(x, i), part(y, i), sums.mut())
        cosine_add(part(x, i + STEP), part(y, i + STEP), others.mut())
    for i in range(whole, n, STEP):
        cosine_add(last_part(x, i), last_part(y, i), sums.mut())
    first = sums.view()
    second = others.view()
    total = Array[Vec[i32, LANES], 5](0)
    for p in unroll(range(5)):
        total[p] = load(first, p, 0, width=LANES) + load(second, p, 0, width=LANES)
    xy = total[0] - (total[4] << 7)
    xx = total[1] - (total[3] << 7)
    yy = total[2] - (total[4] << 7)
    found = f32(four_sums(xy, xx, yy, Vec[i32, LANES](0)))
    return divided(found[0], sqrt(found[1]) * sqrt(found[2]))


@kernel
def dot_i8_many(query: View[i8, 1], rows: View[i8, 2], out: MutView[f32, 1]):
    none = Array[u32, 1](0)
    many(query, rows, none.view(), out, f=product_add, g=sum_add, weight=-128)


@kernel
def squared_l2_i8_many(query: View[i8, 1], rows: View[i8, 2], out: MutView[f32, 1]):
    none = Array[u32, 1](0)
    many(query, rows, none.view(), out, f=square_add, g=gap_add, weight=128)


@kernel
def dot_i8_listed(query: View[i8, 1], rows: View[i8, 2], places: View[u32, 1], out: MutView[f32, 1]):
    many(query, rows, places, out, f=product_add, g=sum_add, weight=-128, line=64)


@kernel
def squared_l2_i8_listed(query: View[i8, 1], rows: View[i8, 2], places: View[u32, 1], out: MutView[f32, 1]):
    many(query, rows, places, out, f=square_add, g=gap_add, weight=128, line=64)


@kernel
def cosine_i8_many(query: View[i8, 1], rows: View[i8, 2], out: MutView[f32, 1]):
    m = len(out)
    n = len(query)
    norm = sqrt(pair(query, query, f=product_add, g=sum_add, weight=-128))
    query_sum = Vec[i32, LANES](0)
    for i in range(0, n, STEP):
        query_sum = sum_add(last_part(query, i), last_part(query, i), query_sum)
    for first in range(0, m, GROUP):
        totals = Array[Vec[i32, LANES], GROUP](0)
        squares = Array[Vec[i32, LANES], GROUP](0)
        extras = Array[Vec[i32, LANES], GROUP](0)
        for i in range(0, n, STEP):
            q = last_part(query, i)
            for r in unroll(range(GROUP)):
                v = last_part(rows[min(first + r, m - 1)], i)
                totals[r] = product_add(v, q, totals[r])
                squares[r] = product_add(v, v, squares[r])
                extras[r] = sum_add(v, v, extras[r])
        for r in unroll(range(GROUP)):
            totals[r] -= query_sum << 7
            squares[r] -= extras[r] << 7
        scores = f32(four_sums(totals[0], totals[1], totals[2], totals[3]))
        norms = f32(four_sums(squares[0], squares[1], squares[2], squares[3]))
        store(out, first, divided(scores, sqrt(norms) * norm), count=m - first)


def many_cases(rng):
    """Rows of awkward length, fewer and more than a group; a row of zeros; the largest differences."""
    made = [
        (normal(rng, (n,), np.int8), normal(rng, (m, n), np.int8), np.zeros(m, np.float32))
        for m, n in ((0, 5), (1, 64), (3, 63), (4, 65), (6, 200))
    ]
    made[-1][1][2] = 0
    made[-1][0][:], made[-1][1][3] = -128, 127
    return made


def listed_cases(rng):
    """The rows of `many_cases`, backwards and more than once."""
    return [
        (
            query,
            rows,
            (np.arange(2 * len(rows))[::-1] % len(rows)).astype(np.uint32),
            np.zeros(2 * len(rows), np.float32),
        )
        for query, rows, _ in many_cases(rng)
        if len(rows)
    ]


def pair_cases(rng):
    """Pairs around the step, the largest differences, and a pair of zeros."""
    low, high = np.full(300, -128, np.int8), np.full(300, 127, np.int8)
    return [*pairs(rng, around(STEP, PARTS * STEP), np.int8), (low, high), (low, low), (0 * low, high)]


SWEEPS = (
    Sweep(dot_i8, reference_dot, pair_cases, 1e-6, 1e-6),
    Sweep(squared_l2_i8, reference_squared_l2, pair_cases, 1e-6, 1e-6),
    Sweep(cosine_i8, reference_cosine, pair_cases, 1e-6, 1e-6),
    Sweep(dot_i8_many, reference_many(reference_dot), many_cases, 1e-6, 1e-6),
    Sweep(squared_l2_i8_many, reference_many(reference_squared_l2), many_cases, 1e-6, 1e-6),
    Sweep(dot_i8_listed, reference_listed(reference_dot), listed_cases, 1e-6, 1e-6),
    Sweep(squared_l2_i8_listed, reference_listed(reference_squared_l2), listed_cases, 1e-6, 1e-6),
    Sweep(cosine_i8_many, reference_many(reference_cosine), many_cases, 1e-6, 1e-6),
)
