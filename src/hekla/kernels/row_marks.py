"""From values to sets of rows: what an index knows of a condition becomes bits, one for each row that has it.

Shapes:  values (m,) of any order (`mark_where_*`) or rising (`mark_between_*`), rows (m,) u32: the row that
         has the value beside it; words: the bits, u64, row r is bit r % 64 of word r // 64, and long enough for every
         row; offsets (t + 1,) u64 and text u8: t terms, rising by their bytes.
Range:   low <= value <= high, so that of floats none that is NaN.
Result:  how many values are within, rows that have several counting as often, or -1 where a row is past the end of
         words, which only damaged files say; of `find_term` the term's number, -1 where there is none.
Cost:    `mark_between_*` 2 log2(m) reads and what is within; `mark_where_*` one pass, eight values at a time.
"""

from itertools import pairwise

import numpy as np

from hekla.kernels.sizes import around
from hekla.lang import MutView, TypeParam, View, any_lane, f64, i64, index, kernel, load, u8, u32, u64
from hekla.lang.sweep import Sweep

T = TypeParam("T")
EIGHT = 8


def reference_mark(values, rows, low, high, words):
    """Say it in NumPy."""
    within = (values >= low) & (values <= high)
    at = rows[within].astype(np.uint64)
    return int(within.sum()) if set_bits(at, words) else -1


def reference_mark_rows(rows, words):
    """Say it in NumPy."""
    at = rows.astype(np.uint64)
    return len(rows) if set_bits(at, words) else -1


def set_bits(at, words):
    """Set the bits there are; return whether there are all."""
    inside = at[at < 64 * len(words)]
    np.bitwise_or.at(words, inside >> np.uint64(6), np.uint64(1) << (inside & np.uint64(63)))
    return len(inside) == len(at)


def reference_find_term(offsets, text, term):
    """Say it in Python."""
    terms = [text[int(a) : int(b)].tobytes() for a, b in pairwise(offsets)]
    return terms.index(term.tobytes()) if term.tobytes() in terms else -1


@kernel(inline=True)
def set_bit(words: MutView[u64, 1], row: u32) -> bool:
    at = index(row >> 6)
    if at < len(words):
        words[at] |= u64(1) << u64(row & 63)
    return at < len(words)


@kernel(inline=True)
def _between(values: View[T, 1], rows: View[u32, 1], low: T, high: T, words: MutView[u64, 1]) -> index:
    first = 0
    end = len(values)
    while first < end:
        middle = (first + end) // 2
        if values[middle] < low:
            first = middle + 1
        else:
            end = middle
    last = first
    end = len(values)
    while last < end:
        middle = (last + end) // 2
        if values[middle] <= high:
            last = middle + 1
        else:
            end = middle
    inside = True
    for i in range(first, last):
        inside &= set_bit(words, rows[i])
    return max(last - first, 0) if inside else -1


@kernel(inline=True)
def _where(values: View[T, 1], rows: View[u32, 1], low: T, high: T, words: MutView[u64, 1]) -> index:
    n = len(values)
    found = 0
    inside = True
    for i in range(0, n, EIGHT):
        some = load(values, i, width=EIGHT, count=n - i)
        if any_lane((some >= low) & (some <= high)):
            for j in range(i, min(n, i + EIGHT)):
                if values[j] >= low and values[j] <= high:
                    inside &= set_bit(words, rows[j])
                    found += 1
    return found if inside else -1


@kernel
def mark_between_whole(values: View[i64, 1], rows: View[u32, 1], low: i64, high: i64, words: MutView[u64, 1]) -> index:
    return _between(values, rows, low, high, words)


@kernel
def mark_between_float(values: View[f64, 1], rows: View[u32, 1], low: f64, high: f64, words: MutView[u64, 1]) -> index:
    return _between(values, rows, low, high, words)


@kernel
def mark_where_whole(values: View[i64, 1], rows: View[u32, 1], low: i64, high: i64, words: MutView[u64, 1]) -> index:
    return _where(values, rows, low, high, words)


@kernel
def mark_where_float(values: View[f64, 1], rows: View[u32, 1], low: f64, high: f64, words: MutView[u64, 1]) -> index:
    return _where(values, rows, low, high, words)


@kernel
def mark_rows(rows: View[u32, 1], words: MutView[u64, 1]) -> index:
    inside = True
    for i in range(len(rows)):
        inside &= set_bit(words, rows[i])
    return len(rows) if inside else -1


@kernel(inline=True)
def order_of(text: View[u8, 1], term: View[u8, 1]) -> index:
    """Return -1, 0 or 1: how a text stands to a term."""
    both = min(len(text), len(term))
    for i in range(both):
        if text[i] != term[i]:
            return -1 if text[i] < term[i] else 1
    if len(text) == len(term):
        return 0
    return -1 if len(text) < len(term) else 1


@kernel
def find_term(offsets: View[u64, 1], text: View[u8, 1], term: View[u8, 1]) -> index:
    first = 0
    end = len(offsets) - 1
    while first < end:
        middle = (first + end) // 2
        order = order_of(text[index(offsets[middle]) : index(offsets[middle + 1])], term)
        if order == 0:
            return middle
        if order < 0:
            first = middle + 1
        else:
            end = middle
    return -1


def ranges(dtype, is_sorted):
    """None, some and all within; bounds the wrong way round; the ends of the type; NaN."""

    def make(rng):
        made = []
        for n in around(8, 64):
            values = rng.integers(-20, 20, n).astype(dtype)
            if dtype == np.float64 and not is_sorted:
                values[::5] = np.nan
            values = np.sort(values) if is_sorted else values
            rows = rng.integers(0, 130, n).astype(np.uint32)
            for low, high in ((-3, 4), (5, 5), (4, -3), (-100, 100)):
                made.append((values, rows, dtype(low), dtype(high), np.zeros(3, np.uint64)))
                made.append((values, rows, dtype(low), dtype(high), np.zeros(2, np.uint64)))
        return made

    return make


def row_cases(rng):
    """Rows once and twice, beside bits that are set."""
    return [
        (rng.integers(0, high, n).astype(np.uint32), np.array([5, 0, 1 << 63], np.uint64))
        for n in around(8)
        for high in (192, 1 << 32)
    ]


def term_cases(rng):
    """Terms that are there, that begin others, and that are not there."""
    terms = sorted({b"", b"a", b"ab", b"abc", b"b", bytes([200, 3]), bytes([200]), b"zz"})
    asked = [*terms, b"aa", b"abcd", b"zzz", bytes([201])]
    made = []
    for some in (terms, terms[1:], terms[:1], []):
        offsets = np.cumsum([0, *(len(term) for term in some)]).astype(np.uint64)
        text = np.frombuffer(b"".join(some), np.uint8).copy()
        made += [(offsets, text, np.frombuffer(term, np.uint8).copy()) for term in asked]
    return made


SWEEPS = (
    Sweep(mark_between_whole, reference_mark, ranges(np.int64, is_sorted=True)),
    Sweep(mark_between_float, reference_mark, ranges(np.float64, is_sorted=True)),
    Sweep(mark_where_whole, reference_mark, ranges(np.int64, is_sorted=False)),
    Sweep(mark_where_float, reference_mark, ranges(np.float64, is_sorted=False)),
    Sweep(mark_rows, reference_mark_rows, row_cases),
    Sweep(find_term, reference_find_term, term_cases),
)
