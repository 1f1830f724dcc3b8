"""Parquet and Arrow files: one column of ids, columns of vectors (lists of numbers), all others are the payload.

The vectors are the column named, else `vector` or `embedding`, else the only column of lists of floats.
"""

import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hekla.base.errors import quoted
from hekla.vector.errors import DamagedError, PointError
from hekla.vector.importing.source import Arrays, Names, needed
from hekla.vector.point import PointId, read_id
from hekla.vector.rows import AnyArray

_USUAL = ("vector", "embedding", "vectors", "embeddings")


class _Table:
    """What the two formats share: record batches in, chunks out. Any below: pyarrow ships no types."""

    total: int

    def __init__(self, path: Path, names: Names, schema: Any) -> None:
        self._where, self._names = str(path), names
        self._vector = _vector_column(schema, names, self._where)
        self._has_ids = names.id in schema.names
        self.done = 0

    def _chunk(self, batch: Any) -> Arrays:
        first = self.done
        self.done += batch.num_rows
        vectors = _matrix(batch.column(self._vector), f"{self._where}, row {first}: {self._vector}")
        ids: AnyArray | list[PointId] | None = None
        if self._has_ids:
            given = batch.column(self._names.id).to_pylist()
            ids = [read_id(value, f"{self._where}, row {first + i}: id") for i, value in enumerate(given)]
        left = [name for name in batch.schema.names if name not in (self._vector, self._names.id)]
        payloads = [
            {key: _json(value) for key, value in row.items() if value is not None}
            for row in batch.select(left).to_pylist()
        ]
        return Arrays({self._names.into: vectors}, ids, payloads if left else None)


class ParquetSource(_Table):
    """A Parquet file, read by its row groups. Errors: UnsupportedError without pyarrow; DamagedError; PointError."""

    def __init__(self, path: Path, names: Names) -> None:
        pyarrow, parquet = needed("pyarrow", "pyarrow", "Parquet"), needed("pyarrow.parquet", "pyarrow", "Parquet")
        self._errors = (pyarrow.ArrowException, OSError)
        try:
            self._file = parquet.ParquetFile(path)
        except self._errors as error:
            raise DamagedError(f"is no Parquet file: {error}", where=str(path)) from error
        super().__init__(path, names, self._file.schema_arrow)
        self.total = self._file.metadata.num_rows

    def chunks(self, points: int) -> Iterator[Arrays]:
        """Yield the rows."""
        try:
            for batch in self._file.iter_batches(batch_size=points):
                yield self._chunk(batch)
        except self._errors as error:
            raise DamagedError(f"cannot be read: {error}", where=f"{self._where}, row {self.done}") from error


class ArrowSource(_Table):
    """An Arrow IPC file or stream, mapped. Errors: as `ParquetSource`."""

    def __init__(self, path: Path, names: Names) -> None:
        pyarrow = needed("pyarrow", "pyarrow", "Arrow")
        self._errors = (pyarrow.ArrowException, OSError)
        try:
            mapped = pyarrow.memory_map(str(path))
            try:
                reader = pyarrow.ipc.open_file(mapped)
                self._batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
                self.total = sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))
            except pyarrow.ArrowInvalid:
                reader = pyarrow.ipc.open_stream(pyarrow.memory_map(str(path)))
                self._batches, self.total = iter(reader), 0  # a stream does not say how long it is
        except self._errors as error:
            raise DamagedError(f"is no Arrow file: {error}", where=str(path)) from error
        super().__init__(path, names, reader.schema)

    def chunks(self, points: int) -> Iterator[Arrays]:
        """Yield the rows."""
        try:
            for batch in self._batches:
                batch.validate(full=True)  # lengths and offsets that lead out of a mapped file end the process
                for first in range(0, batch.num_rows, points):
                    yield self._chunk(batch.slice(first, points))
        except self._errors as error:
            raise DamagedError(f"cannot be read: {error}", where=f"{self._where}, row {self.done}") from error


def _vector_column(schema: Any, names: Names, where: str) -> str:
    if names.vector:
        if names.vector not in schema.names:
            known = ", ".join(schema.names)
            raise PointError(f"has no column {names.vector!r}", where=where, cure=f"it has: {known}")
        return names.vector
    usual = [name for name in _USUAL if name in schema.names]
    if usual:
        return usual[0]
    lists = [field.name for field in schema if "list" in str(field.type) and ("float" in str(field.type))]
    if len(lists) != 1:
        raise PointError(f"has {len(lists)} columns of lists of floats", where=where, cure="say which are the vectors")
    return str(lists[0])


def _matrix(column: Any, where: str) -> AnyArray:
    """Return a column of equally long lists as (n, d)."""
    if column.null_count:
        raise PointError("has rows without a vector", where=where)
    values = column.flatten()
    n = len(column)
    if values.null_count or not n or len(values) % n:
        raise PointError("holds vectors of several lengths, or numbers that are missing", where=where)
    width = len(values) // n
    if not hasattr(column.type, "list_size"):
        lengths = np.diff(np.asarray(column.offsets))
        if (lengths != width).any():
            raise PointError("holds vectors of several lengths", where=where)
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(n, width)


def _json(value: Any) -> Any:
    """Return a value as JSON has it: numbers for decimals, text for what JSON does not know."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, bytes):
        raise PointError(
            f"holds bytes, which JSON cannot: {quoted(value)}", where="$.payload", cure="leave the column out"
        )
    if isinstance(value, list):
        return [_json(each) for each in value]
    if isinstance(value, dict):
        return {key: _json(each) for key, each in value.items()}
    return value
