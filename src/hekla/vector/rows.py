"""Points as columns: how a batch travels, how the newest points stand in memory, how a segment lies on disk."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.vector.point import PointId
from hekla.vector.schema import CollectionSchema, VectorSchema

AnyArray = NDArray[Any]  # Any: the schema says each column's dtype
U64 = NDArray[np.uint64]
DTYPES: Mapping[str, np.dtype[Any]] = {
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "i8": np.dtype("i1"),
    "binary": np.dtype("u1"),
}
UUID_KEY = 1 << 128  # what a UUID's number is raised by, to be told from a number's key


def row_shape(vector: VectorSchema) -> int:
    """Return how many elements a stored vector has: its dimension, or bytes of bits for binary."""
    return -(-vector.dimension // 8) if vector.dtype == "binary" else vector.dimension


@dataclass(frozen=True, slots=True)
class Ids:
    """n ids. A number is `low`; a UUID is `high` and `low`."""

    low: U64  # (n,)
    high: U64  # (n,)
    is_uuid: NDArray[np.bool_]  # (n,)

    def __len__(self) -> int:
        return len(self.low)

    def as_keys(self) -> list[int]:
        """Return each id as one number, by which it is found again."""
        if not np.count_nonzero(self.is_uuid):
            numbers: list[int] = self.low.tolist()
            return numbers
        rows = zip(self.low.tolist(), self.high.tolist(), self.is_uuid.tolist(), strict=True)
        return [UUID_KEY + (high << 64) + low if is_uuid else low for low, high, is_uuid in rows]

    def at(self, row: int) -> PointId:
        """Return the id of a row."""
        low = int(self.low[row])
        return uuid.UUID(int=(int(self.high[row]) << 64) + low) if self.is_uuid[row] else low

    def listed(self, rows: AnyArray) -> list[PointId]:
        """Return the ids of these rows."""
        if self.is_uuid.strides != (0,) and self.is_uuid[rows].any():  # a column of one zero: there are no UUIDs
            return [self.at(row) for row in rows.tolist()]
        numbers: list[PointId] = self.low[rows].tolist()
        return numbers

    def take(self, rows: AnyArray) -> "Ids":
        """Return the ids of these rows."""
        return Ids(self.low[rows], self.high[rows], self.is_uuid[rows])


def ids_of(ids: Sequence[PointId]) -> Ids:
    """Return ids as columns."""
    n = len(ids)
    if all(type(value) is int for value in ids):
        return Ids(np.array(ids, np.uint64), np.zeros(n, np.uint64), np.zeros(n, np.bool_))
    numbers = [value.int if isinstance(value, uuid.UUID) else value for value in ids]
    return Ids(
        np.array([number & (2**64 - 1) for number in numbers], np.uint64),
        np.array([number >> 64 for number in numbers], np.uint64),
        np.array([isinstance(value, uuid.UUID) for value in ids], np.bool_),
    )


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense vector of each row, or several of each."""

    values: AnyArray  # (n, d); (m, d) where rows have several
    is_present: NDArray[np.bool_] | None  # (n,); None: all; rows without have zeros
    offsets: U64 | None = None  # (n + 1,) where each row's vectors begin; None: one a row

    def take(self, rows: AnyArray) -> "Dense":
        """Return the column of these rows."""
        is_present = None if self.is_present is None else self.is_present[rows]
        if self.offsets is None:
            return Dense(self.values[rows], is_present)
        offsets, inner = _ranges(self.offsets, rows)
        return Dense(self.values[inner], is_present, offsets)


@dataclass(frozen=True, slots=True)
class Sparse:
    """A sparse vector of each row; one without entries is absent."""

    offsets: U64  # (n + 1,)
    indices: NDArray[np.uint32]  # (m,)
    values: NDArray[np.float32]  # (m,)

    def take(self, rows: AnyArray) -> "Sparse":
        """Return the column of these rows."""
        offsets, inner = _ranges(self.offsets, rows)
        return Sparse(offsets, self.indices[inner], self.values[inner])


@dataclass(frozen=True, slots=True)
class Payloads:
    """The payload of each row, as JSON text; no bytes for an empty one."""

    offsets: U64  # (n + 1,)
    text: NDArray[np.uint8]  # (m,)

    def at(self, row: int) -> bytes:
        """Return the JSON text of a row, b"{}" for an empty one."""
        return self.text[int(self.offsets[row]) : int(self.offsets[row + 1])].tobytes() or b"{}"

    def take(self, rows: AnyArray) -> "Payloads":
        """Return the column of these rows."""
        offsets, inner = _ranges(self.offsets, rows)
        return Payloads(offsets, self.text[inner])


@dataclass(frozen=True, slots=True)
class Rows:
    """n points. Never changes."""

    ids: Ids
    dense: Mapping[str, Dense]
    sparse: Mapping[str, Sparse]
    payloads: Payloads

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: AnyArray) -> "Rows":
        """Return these rows, copied."""
        return Rows(
            self.ids.take(rows),
            {name: column.take(rows) for name, column in self.dense.items()},
            {name: column.take(rows) for name, column in self.sparse.items()},
            self.payloads.take(rows),
        )

    def span(self, first: int, last: int) -> "Rows":
        """Return the rows from `first` up to `last`, as views of these."""
        ids, payloads = self.ids, self.payloads
        dense = {
            name: Dense(
                column.values[first:last] if column.offsets is None else column.values,
                None if column.is_present is None else column.is_present[first:last],
                None if column.offsets is None else column.offsets[first : last + 1],
            )
            for name, column in self.dense.items()
        }
        sparse = {
            name: Sparse(column.offsets[first : last + 1], column.indices, column.values)
            for name, column in self.sparse.items()
        }
        return Rows(
            Ids(ids.low[first:last], ids.high[first:last], ids.is_uuid[first:last]),
            dense,
            sparse,
            Payloads(payloads.offsets[first : last + 1], payloads.text),
        )


def columns(rows: Rows) -> Iterator[tuple[str, AnyArray]]:
    """Yield every column by the name it has in logs and segments."""
    yield "id.low", rows.ids.low
    if np.count_nonzero(rows.ids.is_uuid):
        yield "id.high", rows.ids.high
        yield "id.is_uuid", rows.ids.is_uuid
    for name, dense in rows.dense.items():
        yield f"dense.{name}.values", dense.values
        if dense.is_present is not None and not dense.is_present.all():
            yield f"dense.{name}.is_present", dense.is_present
        if dense.offsets is not None:
            yield f"dense.{name}.offsets", dense.offsets
    for name, sparse in rows.sparse.items():
        yield f"sparse.{name}.offsets", sparse.offsets
        yield f"sparse.{name}.indices", sparse.indices
        yield f"sparse.{name}.values", sparse.values
    yield "payload.offsets", rows.payloads.offsets
    yield "payload.text", rows.payloads.text


def rows_of(found: Mapping[str, AnyArray], schema: CollectionSchema) -> Rows:
    """Return the rows behind their columns. Errors: KeyError for a column that is missing."""
    low = found["id.low"]
    n = len(low)
    ids = Ids(low, found.get("id.high", _zeros(n, np.uint64)), found.get("id.is_uuid", _zeros(n, np.bool_)))
    dense = {
        name: Dense(
            found[f"dense.{name}.values"],
            found.get(f"dense.{name}.is_present"),
            found.get(f"dense.{name}.offsets"),
        )
        for name in schema.vectors
    }
    sparse = {
        name: Sparse(found[f"sparse.{name}.offsets"], found[f"sparse.{name}.indices"], found[f"sparse.{name}.values"])
        for name in schema.sparse
    }
    return Rows(ids, dense, sparse, Payloads(found["payload.offsets"], found["payload.text"]))


def concatenated(parts: Sequence[Rows]) -> Rows:
    """Return all rows of the parts, in order. At least one part."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    return Rows(
        Ids(*(np.concatenate([getattr(part.ids, name) for part in parts]) for name in ("low", "high", "is_uuid"))),
        {name: _dense([part.dense[name] for part in parts], [len(part) for part in parts]) for name in first.dense},
        {name: _sparse([part.sparse[name] for part in parts]) for name in first.sparse},
        Payloads(
            _offsets([part.payloads.offsets for part in parts]), np.concatenate([part.payloads.text for part in parts])
        ),
    )


def _dense(parts: Sequence[Dense], lengths: Sequence[int]) -> Dense:
    values = np.concatenate([part.values for part in parts])
    present = None
    if any(part.is_present is not None for part in parts):
        each = zip(parts, lengths, strict=True)
        present = np.concatenate([np.ones(n, np.bool_) if p.is_present is None else p.is_present for p, n in each])
    offsets = [part.offsets for part in parts if part.offsets is not None]
    return Dense(values, present, _offsets(offsets) if offsets else None)


def _sparse(parts: Sequence[Sparse]) -> Sparse:
    return Sparse(
        _offsets([part.offsets for part in parts]),
        np.concatenate([part.indices for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def _offsets(parts: Sequence[U64]) -> U64:
    lengths = np.concatenate([np.diff(part) for part in parts])
    return np.concatenate([np.zeros(1, np.uint64), np.cumsum(lengths, dtype=np.uint64)])


def _ranges(offsets: U64, rows: AnyArray) -> tuple[U64, NDArray[np.int64]]:
    """Return the offsets of these rows put side by side, and where each of their entries stood."""
    starts = offsets[:-1][rows].astype(np.int64)
    lengths = offsets[1:][rows].astype(np.int64) - starts
    ends = np.cumsum(lengths)
    inner = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
    return np.concatenate([[0], ends]).astype(np.uint64), inner


def _zeros(n: int, dtype: type[np.generic]) -> AnyArray:
    """Return n zeros in no memory to speak of: one zero seen n times."""
    return np.broadcast_to(np.zeros(1, dtype), (n,))
