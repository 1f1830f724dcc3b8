"""What a reader sees: one version of a collection. It never changes, however long it is held."""

from collections.abc import Sequence
from dataclasses import dataclass
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

_FEW = 16  # ids are found one by one; more together
_RECENT = 64  # deleted rows are kept beside a bitmap, before another bitmap is made


class Finder(Protocol):
    """Finds rows by id."""

    def find(self, ids: Ids) -> NDArray[np.int64]:
        """Return the row of each id, ABSENT where there is none."""


class Follower(Protocol):
    """Something kept over rows that grow."""

    def take(self, new: Rows, first: int) -> bool:
        """Take in rows, `first` being the number of the first; False, and nothing, where some before lack."""

    def follow(self, rows: Rows) -> None:
        """Take in what is new of all rows there are."""


class Tail:
    """The newest points: rows that grow, and where each id stands last. Changed under the write lock only."""

    def __init__(self, schema: CollectionSchema) -> None:
        self.growing = GrowingRows(schema)
        self._row_of: dict[int, int] = {}
        self.followers: dict[str, Follower] = {}  # what readers asked for over the rows, by what it is
        self.lock = Lock()  # of who adds a follower

    def extend(self, rows: Rows, keys: Sequence[int]) -> None:
        """Add rows at the end; keys: of their ids."""
        first = len(self.growing)
        self.growing.extend(rows)
        self._row_of.update(zip(keys, range(first, first + len(keys)), strict=True))
        if self.followers:
            for follower in list(self.followers.values()):
                if not follower.take(rows, first):
                    follower.follow(self.growing.view())

    def row_of(self, key: int) -> int:
        """Return the last row of an id, ABSENT where there is none."""
        return self._row_of.get(key, ABSENT)

    def find(self, ids: Ids) -> NDArray[np.int64]:
        """Return the last row of each id, also of one that was deleted since; ABSENT where there is none."""
        row_of = self._row_of
        return np.array([row_of.get(key, ABSENT) for key in ids.as_keys()], np.int64)


class Part:
    """Some of a version's rows: a segment, or points in memory. Never changes.

    Who writes a point makes a new part without copying anything of its size: which rows are deleted is a bitmap and a
    few rows beside it, joined when a reader asks; so are the views of rows in memory.
    """

    __slots__ = ("_joined", "_recent", "_rows", "_words", "count", "live", "source")

    def __init__(
        self,
        source: Segment | Tail,
        count: int,
        live: int,
        words: bitmap.Words,
        recent: tuple[int, ...] = (),
        rows: Rows | None = None,
    ) -> None:
        """count: its first rows; live: how many are not deleted; words and recent: those that are, of some length."""
        self.source, self.count, self.live = source, count, live
        self._words, self._recent, self._rows = words, recent, rows
        self._joined: bitmap.Words | None = None

    @property
    def rows(self) -> Rows:
        """All rows, deleted ones too."""
        rows = self._rows
        if rows is None:
            source = self.source
            rows = self._rows = source.growing.first(self.count) if isinstance(source, Tail) else source.rows
        return rows

    @property
    def deleted(self) -> bitmap.Words:
        """The deleted of all rows."""
        joined = self._joined
        if joined is None:
            joined = self._words
            if self._recent or len(joined) != bitmap.words_for(self.count):
                joined = bitmap.with_rows(joined, np.array(self._recent, np.int64), self.count)
            self._joined = joined
        return joined

    def find(self, ids: Ids) -> NDArray[np.int64]:
        """Return the live row of each id in this part, ABSENT where there is none. (n,) -> (n,)."""
        found = self.source.find(ids)
        for i in np.flatnonzero(found >= self.count).tolist():
            # Written again since this version: the dictionary knows the newer row, this version an older one.
            same = (self.rows.ids.low == ids.low[i]) & (self.rows.ids.high == ids.high[i])
            older = np.flatnonzero(same & (self.rows.ids.is_uuid == ids.is_uuid[i]))
            found[i] = older[-1] if len(older) else ABSENT
        here = np.flatnonzero(found >= 0)
        found[here[bitmap.contains(self.deleted, found[here])]] = ABSENT
        return found

    def row_of(self, key: int) -> int:
        """Return the live row of an id, ABSENT where there is none. Of the latest version only."""
        row = self.source.row_of(key)
        if row < 0 or row in self._recent:
            return ABSENT
        words, word = self._words, row >> 6
        return ABSENT if word < len(words) and int(words[word]) >> (row & 63) & 1 else row

    def less(self, rows: Sequence[int]) -> "Part":
        """Return the part with these live rows deleted."""
        live, recent = self.live - len(rows), (*self._recent, *rows)
        if len(recent) <= _RECENT:
            return Part(self.source, self.count, live, self._words, recent, self._rows)
        words = bitmap.with_rows(self._words, np.array(recent, np.int64), self.count)
        return Part(self.source, self.count, live, words, (), self._rows)

    def longer(self, count: int) -> "Part":
        """Return the part with all rows up to `count`, the new ones live."""
        return Part(self.source, count, self.live + count - self.count, self._words, self._recent)


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

    def less(self, ids: Ids, keys: Sequence[int]) -> list[Part]:
        """Return the parts without these ids, none twice. Of the latest version. keys: of the ids."""
        parts = list(self.parts)
        for place, part in enumerate(self.parts):
            if not part.live:
                continue
            if len(keys) <= _FEW or isinstance(part.source, Tail):
                rows = [row for key in keys if (row := part.row_of(key)) >= 0]
            else:
                found = part.find(ids)
                rows = found[found >= 0].tolist()
            if rows:
                parts[place] = part.less(rows)
        return parts


def whole(rows: Rows, source: Segment | Tail, deleted: bitmap.Words | None = None) -> Part:
    """Return a part of all these rows, less the deleted."""
    if deleted is None:  # nothing is counted: opening takes the same time for any size
        return Part(source, len(rows), len(rows), bitmap.nothing(len(rows)), (), rows)
    return Part(source, len(rows), len(rows) - bitmap.count(deleted), deleted, (), rows)
