"""Writes that depend on what is there: points deleted or written anew, found and changed with nothing coming between.

Each is called with the latest version and says what to do; `points` is then how many points it was about.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from hekla.base.errors import NotFoundError, nearest_name, quoted
from hekla.vector import bitmap
from hekla.vector.batch import payload_column, rows_from_points
from hekla.vector.errors import PointError
from hekla.vector.execute import allowed_rows
from hekla.vector.filters import Filter
from hekla.vector.point import Payload, Point, PointId, Vector, read_id
from hekla.vector.records import payload_at
from hekla.vector.rows import AnyArray, Ids, Rows, concatenated, ids_of
from hekla.vector.schema import CollectionSchema
from hekla.vector.store import Changes
from hekla.vector.version import Version

Selection = Sequence[PointId] | Filter  # which points: by id, or all that a filter holds for
Change = Callable[[Rows], Rows]  # points to what they are to be, the ids as they are


class Removal:
    """Points that go. Errors: PointError for an id or a filter."""

    def __init__(self, selection: Selection, *, knows_all: bool) -> None:
        """knows_all: no point is in a segment that could not be opened."""
        self._selection, self._knows_all = selection, knows_all
        self.points = 0

    def __call__(self, version: Version) -> Changes:
        """Return what to do."""
        ids = _ids_in(version, self._selection)
        self.points = len(ids)
        if not self._knows_all and not isinstance(self._selection, Filter):
            ids = _read_ids(self._selection)
        return Changes(deletes=ids)


class Rewriting:
    """Points that are there, written anew. Errors: as `Removal`; what the change raises."""

    def __init__(self, selection: Selection, change: Change) -> None:
        self._selection, self._change = selection, change
        self.points = 0

    def __call__(self, version: Version) -> Changes:
        """Return what to do."""
        rows = _rows_in(version, _ids_in(version, self._selection))
        self.points = 0 if rows is None else len(rows)
        return Changes(upserts=None if rows is None else self._change(rows))


def payloads_changed(edit: Callable[[dict[str, Any]], Payload]) -> Change:  # Any: JSON
    """Return the change that makes of each payload what `edit` makes of it."""

    def change(rows: Rows) -> Rows:
        payloads = payload_column([edit(payload_at(rows, row)) for row in range(len(rows))], "$")
        return Rows(rows.ids, rows.dense, rows.sparse, payloads)

    return change


def vectors_set(schema: CollectionSchema, points: Sequence[Point]) -> Rewriting:
    """Return the write of these vectors over those of points that are there, other vectors and payloads kept.

    Errors: PointError; when it is called, NotFoundError for an id that is not there.
    """
    rows_from_points(schema, points, "$.points")  # what is wrong is told by its place in what was given
    vectors: dict[PointId, dict[str, Vector]] = {}
    for i, point in enumerate(points):
        vectors.setdefault(read_id(point.id, f"$.points[{i}].id"), {}).update(point.vectors)
    given = rows_from_points(schema, [Point(key, named) for key, named in vectors.items()])
    order = {key: row for row, key in enumerate(given.ids.as_keys())}

    def change(rows: Rows) -> Rows:
        n = len(rows)
        if n < len(given):
            raise NotFoundError("some of the points are not there", where="$.points", cure="upsert them whole")
        new = given.take(np.array([order[key] for key in rows.ids.as_keys()], np.int64))
        both = concatenated([rows, new])
        named = [vectors[rows.ids.at(row)] for row in range(n)]

        def newest(name: str) -> AnyArray:
            return np.arange(n) + n * np.array([name in each for each in named], np.int64)

        dense = {name: column.take(newest(name)) for name, column in both.dense.items()}
        sparse = {name: column.take(newest(name)) for name, column in both.sparse.items()}
        return Rows(rows.ids, dense, sparse, rows.payloads)

    return Rewriting([given.ids.at(row) for row in range(len(given))], change)


def vectors_removed(schema: CollectionSchema, names: Iterable[str]) -> Change:
    """Return the change that takes vectors away. Errors: PointError for a name."""
    gone = set(names)
    known = {*schema.vectors, *schema.sparse}
    for name in sorted(gone - known):
        raise PointError(f"no vector is named {quoted(name)}", where="$.vector", cure=nearest_name(name, known))

    def change(rows: Rows) -> Rows:
        none = rows_from_points(schema, [Point(rows.ids.at(row)) for row in range(len(rows))])
        dense = {name: (none if name in gone else rows).dense[name] for name in rows.dense}
        sparse = {name: (none if name in gone else rows).sparse[name] for name in rows.sparse}
        return Rows(rows.ids, dense, sparse, rows.payloads)

    return change


def _ids_in(version: Version, selection: Selection) -> Ids:
    """Return the ids of the points that are there, of a selection."""
    if not isinstance(selection, Filter):
        wanted = _read_ids(selection)
        is_here = np.zeros(len(wanted), np.bool_)
        for part in version.parts:
            if part.live:
                is_here |= part.find(wanted) >= 0
        return wanted.take(np.flatnonzero(is_here))
    allowed = allowed_rows(version, selection, "$.filter")
    found = [
        part.rows.ids.take(bitmap.members(words, len(part.rows)))
        for part, words in zip(version.parts, allowed, strict=True)
        if words is not None
    ]
    if not found:
        return ids_of([])
    each = (np.concatenate([getattr(ids, name) for ids in found]) for name in ("low", "high", "is_uuid"))
    return Ids(*each)


def _read_ids(selection: Sequence[PointId]) -> Ids:
    """Return ids as columns, each once however it was written. Errors: PointError."""
    return ids_of(list(dict.fromkeys(read_id(value, f"$.points[{i}]") for i, value in enumerate(selection))))


def _rows_in(version: Version, ids: Ids) -> Rows | None:
    """Return the points with these ids, None for none."""
    found = []
    for part in version.parts:
        rows = part.find(ids) if part.live else np.zeros(0, np.int64)
        if (rows >= 0).any():
            found.append(part.rows.take(rows[rows >= 0]))
    return concatenated(found) if found else None
