"""What a reader sees: one version of a collection. It never changes, however long it is held."""

from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hekla.vector import bitmap
from hekla.vector.growing import GrowingRows
from hekla.vector.id_lookup import ABSENT
from hekla.vector.rows import Ids, Rows
from hekla.vector.schema import CollectionSchema
from hekla.vector.segment import Segment


class Finder(Protocol):
    """Finds rows by id."""

    def find(self, ids: Ids) -> NDArray[np.int64]:
        """Return the row of each id, ABSENT where there is none."""


class Follower(Protocol):
    """Something kept over rows that grow."""

    def follow(self, rows: Rows) -> None:
        """Take in the rows that are new since the last time."""


class Tail:
    """The newest points: rows that grow, and where each id stands last. Changed under the write lock only."""

    def __init__(self, schema: CollectionSchema) -> None:
        self.growing = GrowingRows(schema)
        self._row_of: dict[int, int] = {}
        self.followers: dict[str, Follower] = {}  # what readers asked for over the rows, by what it is
        self.lock = Lock()  # of who adds a follower

    def extend(self, rows: Rows) -> None:
        """Add rows at the end."""
        first = len(self.growing)
        self.growing.extend(rows)
        self._row_of.update((key, first + i) for i, key in enumerate(rows.ids.as_keys()))
        if self.followers:
            now = self.growing.view()
            for follower in list(self.followers.values()):
                follower.follow(now)

    def find(self, ids: Ids) -> NDArray[np.int64]:
        """Return the last row of each id, also of one that was deleted since; ABSENT where there is none."""
        row_of = self._row_of
        return np.array([row_of.get(key, ABSENT) for key in ids.as_keys()], np.int64)


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a version's rows: a segment, or points in memory."""

    rows: Rows
    deleted: bitmap.Words  # of all rows
    live: int  # rows that are not deleted
    source: Segment | Tail

    def find(self, ids: Ids) -> NDArray[np.int64]:
        """Return the live row of each id in this part, ABSENT where there is none. (n,) -> (n,)."""
        found = self.source.find(ids)
        n = len(self.rows)
        for i in np.flatnonzero(found >= n).tolist():
            # Written again since this version: the dictionary knows the newer row, this version an older one.
            same = (self.rows.ids.low == ids.low[i]) & (self.rows.ids.high == ids.high[i])
            older = np.flatnonzero(same & (self.rows.ids.is_uuid == ids.is_uuid[i]))
            found[i] = older[-1] if len(older) else ABSENT
        here = np.flatnonzero(found >= 0)
        found[here[bitmap.contains(self.deleted, found[here])]] = ABSENT
        return found

    def less(self, rows: NDArray[np.int64]) -> "Part":
        """Return the part with these live rows deleted."""
        if not len(rows):
            return self
        return replace(self, deleted=bitmap.with_rows(self.deleted, rows, len(self.rows)), live=self.live - len(rows))


@dataclass(frozen=True, slots=True)
class Version:
    """All rows of a collection after one batch. An id is live in one part at most."""

    sequence: int  # of the last batch in it
    schema: CollectionSchema
    parts: tuple[Part, ...]  # segments, then what is being sealed, then the tail

    @property
    def live(self) -> int:
        """How many points there are."""
        return sum(part.live for part in self.parts)

    def less(self, ids: Ids) -> tuple["Version", int]:
        """Return the version without these ids, and how many were there."""
        parts = []
        gone = 0
        for part in self.parts:
            found = part.find(ids) if part.live else np.zeros(0, np.int64)
            found = np.unique(found[found >= 0])
            gone += len(found)
            parts.append(part.less(found))
        return replace(self, parts=tuple(parts)), gone


def whole(rows: Rows, source: Segment | Tail, deleted: bitmap.Words | None = None) -> Part:
    """Return a part of all these rows, less the deleted."""
    if deleted is None:  # nothing is counted: opening takes the same time for any size
        return Part(rows, bitmap.nothing(len(rows)), len(rows), source)
    return Part(rows, deleted, len(rows) - bitmap.count(deleted), source)
