"""Which rows have a dimension of a sparse vector: a segment's lie on disk, those of points in memory grow."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hekla.vector.growing import GrowingArray
from hekla.vector.rows import AnyArray, Rows
from hekla.vector.segment import Segment
from hekla.vector.version import Part, Tail


@dataclass(frozen=True, slots=True)
class DimensionRows:
    """The rows that have some dimensions, dimension after dimension."""

    rows: NDArray[np.uint32]  # (m,) rising within a dimension
    weights: NDArray[np.float32]  # (m,)
    starts: NDArray[np.int64]  # (dimensions,) where a dimension's rows stand
    ends: NDArray[np.int64]


def sparse_sections(rows: Rows) -> dict[str, AnyArray]:
    """Return what finds rows by dimension, for each sparse vector of a segment.

    `sparse.NAME.dimensions` (t,) u32 rising, `sparse.NAME.rows.offsets` (t + 1,) u64, `sparse.NAME.rows` (m,) u32 and
    `sparse.NAME.weights` (m,) f32 beside.
    """
    sections: dict[str, AnyArray] = {}
    for name, column in rows.sparse.items():
        owner = np.repeat(np.arange(len(rows), dtype=np.uint32), np.diff(column.offsets).astype(np.int64))
        order = np.argsort(column.indices, kind="stable")
        dimensions, starts = np.unique(column.indices[order], return_index=True)
        sections[f"sparse.{name}.dimensions"] = dimensions
        sections[f"sparse.{name}.rows.offsets"] = np.append(starts, len(order)).astype(np.uint64)
        sections[f"sparse.{name}.rows"] = owner[order]
        sections[f"sparse.{name}.weights"] = column.values[order]
    return sections


def rows_with(part: Part, name: str, dimensions: NDArray[np.uint32]) -> DimensionRows:
    """Return the rows of a part that have these dimensions, deleted ones too."""
    if not isinstance(part.source, Segment):
        return growing_sparse(part.source, name).as_of(part.rows, dimensions)
    sections = part.source.sections
    known, offsets = sections[f"sparse.{name}.dimensions"], sections[f"sparse.{name}.rows.offsets"]
    at = np.searchsorted(known, dimensions)
    is_here = at < len(known)
    is_here[is_here] = known[at[is_here]] == dimensions[is_here]
    at[~is_here] = 0
    starts = offsets[at].astype(np.int64)
    ends = np.where(is_here, offsets[np.minimum(at + 1, len(offsets) - 1)].astype(np.int64), starts)
    return DimensionRows(sections[f"sparse.{name}.rows"], sections[f"sparse.{name}.weights"], starts, ends)


class GrowingSparse:
    """The rows of each dimension of one sparse vector of points in memory. Any thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pairs_of: dict[int, GrowingArray] = {}  # by dimension: its pairs, in the order of rows
        self._owner = GrowingArray(np.uint32)  # the row of each pair
        self._rows = 0
        self._adding = Lock()

    def take(self, new: Rows, first: int) -> bool:
        """Add rows, the first of which has this number; False, and nothing, where some before lack."""
        with self._adding:
            if self._rows == first:
                self._add(new, 0)
            return self._rows >= first + len(new)

    def follow(self, rows: Rows) -> None:
        """Add the rows that are not yet in, of all there are."""
        if self._rows < len(rows):
            with self._adding:
                if self._rows < len(rows):
                    self._add(rows, self._rows)

    def _add(self, rows: Rows, first: int) -> None:
        column, row = rows.sparse[self._name], self._rows
        ends = column.offsets[first : len(rows) + 1].astype(np.int64)
        dimensions = column.indices[int(ends[0]) : int(ends[-1])].tolist()
        begin = len(self._owner)
        self._owner.extend(np.repeat(np.arange(row, row + len(ends) - 1, dtype=np.uint32), np.diff(ends)))
        for pair, dimension in enumerate(dimensions, begin):
            pairs = self._pairs_of.get(dimension)
            if pairs is None:
                pairs = self._pairs_of[dimension] = GrowingArray(np.uint32, room=4)
            pairs.append(pair)
        self._rows = row + len(ends) - 1

    def as_of(self, rows: Rows, dimensions: NDArray[np.uint32]) -> DimensionRows:
        """Return which of these rows, the first there are, have these dimensions."""
        self.follow(rows)
        column = rows.sparse[self._name]
        last = int(column.offsets[-1])
        each = [self._first(dimension, last) for dimension in dimensions.tolist()]
        ends = np.cumsum([len(some) for some in each], dtype=np.int64)
        starts = ends - np.array([len(some) for some in each], np.int64)
        pairs = np.concatenate([*each, np.zeros(0, np.uint32)])
        return DimensionRows(self._owner.first(last)[pairs], column.values[pairs], starts, ends)

    def _first(self, dimension: int, last: int) -> AnyArray:
        """Return the pairs of a dimension before `last`."""
        growing = self._pairs_of.get(dimension)
        if growing is None:
            return np.zeros(0, np.uint32)
        pairs = growing.view()
        return pairs[: int(np.searchsorted(pairs, last))] if len(pairs) and pairs[-1] >= last else pairs


def growing_sparse(tail: Tail, name: str) -> GrowingSparse:
    """Return what finds rows of points in memory by dimension, which may know fewer rows than there are."""
    key = f"sparse.{name}"
    found = tail.followers.get(key)
    if not isinstance(found, GrowingSparse):
        with tail.lock:
            found = tail.followers.get(key)
            if not isinstance(found, GrowingSparse):
                found = tail.followers[key] = GrowingSparse(name)
    return found


def having(found: Sequence[DimensionRows], dimensions: int) -> NDArray[np.int64]:
    """Return how many rows of all parts have each dimension."""
    total = np.zeros(dimensions, np.int64)
    for each in found:
        total += each.ends - each.starts
    return total
