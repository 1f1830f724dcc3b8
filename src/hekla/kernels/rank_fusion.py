"""Several lists of rows as one, by the sum of what each list gives a row.

Shapes:  part, row (m,) i64: the rows of all lists, one after the other; scores (m,) f64: what a list gives its row;
         keys (m,) u64 and totals (m,) f64: working memory; out_part, out_row (k,) i64 and out_rank (k,) f64: the best,
         the greatest sum first, equal ones by part and row; rank is minus the sum.
Range:   part below 2^24, row below 2^40.
Result:  how many of out are filled.
Cost:    m^2 comparisons: for lists of some hundreds.
"""

import numpy as np

from hekla.lang import MutView, View, f64, i64, index, kernel, u64
from hekla.lang.sweep import Sweep

ROW_BITS = 40


def reference_fuse(part, row, scores, keys, totals, out_part, out_row, out_rank):
    """Say it in Python."""
    sums = {}
    for p, r, score in zip(part.tolist(), row.tolist(), scores.tolist(), strict=True):
        sums[p, r] = sums.get((p, r), 0.0) + score
    best = sorted((-total, *key) for key, total in sums.items())[: len(out_row)]
    for i, (rank, p, r) in enumerate(best):
        out_part[i], out_row[i], out_rank[i] = p, r, rank
    keys[:], totals[:] = 0, 0
    return len(best)


@kernel(inline=True)
def place_of(keys: View[u64, 1], count: index, key: u64) -> index:
    """Return where a key is among the first, `count` where it is not."""
    for i in range(count):
        if keys[i] == key:
            return i
    return count


@kernel
def fuse_lists(
    part: View[i64, 1],
    row: View[i64, 1],
    scores: View[f64, 1],
    keys: MutView[u64, 1],
    totals: MutView[f64, 1],
    out_part: MutView[i64, 1],
    out_row: MutView[i64, 1],
    out_rank: MutView[f64, 1],
) -> index:
    unique = 0
    for i in range(len(part)):
        key = u64(part[i]) << ROW_BITS | u64(row[i])
        at = place_of(keys, unique, key)
        if at == unique:
            keys[at] = key
            totals[at] = scores[i]
            unique += 1
        else:
            totals[at] += scores[i]
    count = min(unique, len(out_row))
    for i in range(count):
        best = i
        for j in range(i + 1, unique):
            if totals[j] > totals[best] or (totals[j] == totals[best] and keys[j] < keys[best]):
                best = j
        key = keys[best]
        out_part[i] = i64(key >> ROW_BITS)
        out_row[i] = i64(key & ((u64(1) << ROW_BITS) - 1))
        out_rank[i] = -totals[best]
        keys[best] = keys[i]
        totals[best] = totals[i]
    for i in range(len(keys)):
        keys[i] = 0
        totals[i] = 0.0
    return count


def cases(rng):
    """No hits, rows in one list and in several, equal sums, room for fewer and for more."""
    made = []
    for m, rows, room in ((0, 1, 3), (1, 1, 0), (5, 3, 2), (40, 25, 10), (60, 60, 80), (100, 1 << 39, 20)):
        part, row = rng.integers(0, 3, m), rng.integers(0, rows, m)
        scores = rng.integers(1, 4, m).astype(np.float64)
        out = (np.zeros(room, np.int64), np.zeros(room, np.int64), np.zeros(room))
        made.append((part, row, scores, np.zeros(m, np.uint64), np.zeros(m), *out))
    return made


SWEEPS = (Sweep(fuse_lists, reference_fuse, cases),)
