"""Rows found, best first, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hekla.vector.rows import AnyArray


@dataclass(frozen=True, slots=True)
class Hits:
    """k rows of a version. `rank` rises: a distance, or a score less than zero by as much as it is good."""

    part: NDArray[np.int64]  # (k,) which part of the version
    row: NDArray[np.int64]  # (k,)
    rank: NDArray[np.float64]  # (k,) wide enough for whole numbers and moments that points are ordered by
    is_complete: bool = True  # False: the deadline passed first

    def __len__(self) -> int:
        return len(self.row)

    def take(self, chosen: AnyArray) -> "Hits":
        """Return these of the hits."""
        return Hits(self.part[chosen], self.row[chosen], self.rank[chosen], self.is_complete)

    def page(self, offset: int, limit: int) -> "Hits":
        """Return the hits from `offset` on, `limit` at most."""
        end = offset + limit
        return Hits(self.part[offset:end], self.row[offset:end], self.rank[offset:end], self.is_complete)

    def keys(self) -> NDArray[np.int64]:
        """Return one number for each hit that tells rows apart."""
        return (self.part << 40) + self.row


NO_HITS = Hits(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float64))


def hits_in(part: int, rows: AnyArray, ranks: AnyArray, *, is_complete: bool = True) -> Hits:
    """Return hits in one part, as they come."""
    number = np.full(len(rows), part)
    return Hits(number, rows.astype(np.int64, copy=False), ranks.astype(np.float64, copy=False), is_complete)


def joined(each: Sequence[Hits]) -> Hits:
    """Return all the hits, one list after the other."""
    if not each:
        return NO_HITS
    return Hits(
        np.concatenate([hits.part for hits in each]),
        np.concatenate([hits.row for hits in each]),
        np.concatenate([hits.rank for hits in each]),
        all(hits.is_complete for hits in each),
    )


def best_of(each: Sequence[Hits], limit: int) -> Hits:
    """Return the best of several lists, best first; of equal ones those of earlier parts and rows."""
    found = each[0] if len(each) == 1 else joined(each)
    if len(found) > 4 * limit + 64:
        near = np.argpartition(found.rank, limit)[: limit + 1]
        found = found.take(np.flatnonzero(found.rank <= found.rank[near].max()))
    return found.take(np.lexsort((found.row, found.part, found.rank))[:limit])
