"""Points in the order of their ids, a page at a time: numbers first, then UUIDs.

A segment's ids lie in order on disk, so a page reads as many as it shows, and under a filter those between. Where few
rows pass a filter, and for points in memory, the rows that pass are put in order instead.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from hekla.vector import bitmap
from hekla.vector.point import PointId
from hekla.vector.rows import AnyArray, Ids, ids_of
from hekla.vector.segment import Segment
from hekla.vector.version import Part, Version

_FIRST, _GROWTH = 64, 4  # rows looked at together, beside those wanted; each time none are left so many times more


def rows_in_order(
    version: Version, allowed: Sequence[bitmap.Words | None], after: PointId | None, limit: int
) -> list[tuple[int, int]]:
    """Return the first live points that are allowed, from the id `after` on (inclusive), as (part, row).

    allowed: for each part, None for all of its rows.
    """
    start = ids_of([0 if after is None else after])
    keyed: list[tuple[int, int, int]] = []
    for number, (part, words) in enumerate(zip(version.parts, allowed, strict=True)):
        if part.live:
            rows = _first_rows(part, words, start, limit)
            keyed += zip(part.rows.ids.take(rows).as_keys(), [number] * len(rows), rows.tolist(), strict=True)
    return [(number, row) for _, number, row in sorted(keyed)[:limit]]


def _first_rows(part: Part, allowed: bitmap.Words | None, start: Ids, limit: int) -> AnyArray:
    """Return the first rows of one part, in the order of their ids."""
    n = len(part.rows)
    passing = None if allowed is None and part.live == n else ~part.deleted if allowed is None else allowed
    count = part.live if allowed is None else bitmap.count(allowed)
    # Looking along the ids meets limit * n / count rows; putting in order what passes takes count.
    if not isinstance(part.source, Segment) or count * count < limit * n:
        rows = np.arange(n) if passing is None else bitmap.members(passing, n)
        return _ordered(part.rows.ids, rows, start, limit)
    found: list[AnyArray] = []
    wanted = limit
    for rows in _in_pieces(part.source.rows_from(start), limit + _FIRST):
        kept = rows if passing is None else rows[bitmap.contains(passing, rows)]
        found.append(kept[:wanted])
        wanted -= len(found[-1])
        if not wanted:
            break
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _ordered(ids: Ids, rows: AnyArray, start: Ids, limit: int) -> AnyArray:
    """Return those of the rows whose ids are the first from `start` on, in their order."""
    low, high, is_uuid = ids.low[rows], ids.high[rows], ids.is_uuid[rows]
    is_later = (high > start.high[0]) | ((high == start.high[0]) & (low >= start.low[0]))
    if start.is_uuid[0]:
        later = np.flatnonzero(is_uuid & is_later)
    else:
        later = np.flatnonzero(is_uuid | is_later)
    if len(later) > 2 * limit and not is_uuid.any():
        later = later[np.argpartition(low[later], limit - 1)[:limit]]
    order = np.lexsort((low[later], high[later], is_uuid[later]))
    return rows[later[order[:limit]]]


def _in_pieces(columns: Sequence[AnyArray], first: int) -> Iterator[AnyArray]:
    """Yield the columns one after the other, in pieces that grow."""
    size = first
    for column in columns:
        at = 0
        while at < len(column):
            yield column[at : at + size].astype(np.int64)
            at += size
            size *= _GROWTH
