"""From rows back to what callers get: ids, payloads, vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from hekla.vector.point import Payload, PointId, Record, ScoredPoint, SparseVector, Vector
from hekla.vector.rows import AnyArray, Rows
from hekla.vector.schema import CollectionSchema


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a point a caller wants besides its id."""

    payload: bool | tuple[str, ...] = False  # True: all; paths: these
    payload_without: tuple[str, ...] = ()  # all but these, where `payload` is True
    vectors: bool | tuple[str, ...] = False  # True: all; names: these


ID_ONLY, WITH_PAYLOAD, ALL = Wanted(), Wanted(payload=True), Wanted(payload=True, vectors=True)


def record_of(rows: Rows, row: int, wanted: Wanted, schema: CollectionSchema) -> Record:
    """Return one point."""
    return Record(rows.ids.at(row), _payload(rows, row, wanted), _vectors(rows, row, wanted, schema))


def scored_of(rows: Rows, row: int, score: float, wanted: Wanted, schema: CollectionSchema) -> ScoredPoint:
    """Return one point found."""
    if wanted is ID_ONLY:
        return ScoredPoint(rows.ids.at(row), score)
    payload, vectors = _payload(rows, row, wanted), _vectors(rows, row, wanted, schema)
    return ScoredPoint(rows.ids.at(row), score, payload, vectors)


def payload_at(rows: Rows, row: int) -> dict[str, Any]:
    """Return the payload of a row. Any: JSON."""
    payload: dict[str, Any] = orjson.loads(rows.payloads.at(row))
    return payload


def vector_at(rows: Rows, row: int, name: str, schema: CollectionSchema) -> Vector | None:
    """Return one vector of a row as it is stored, None where it has none; of binary ones the bits, 0 and 1."""
    if name in rows.sparse:
        sparse = rows.sparse[name]
        first, last = int(sparse.offsets[row]), int(sparse.offsets[row + 1])
        return SparseVector(sparse.indices[first:last], sparse.values[first:last]) if last > first else None
    dense = rows.dense[name]
    if dense.is_present is not None and not dense.is_present[row]:
        return None
    if dense.offsets is None:
        return _shown(dense.values[row], schema, name)
    return _shown(dense.values[int(dense.offsets[row]) : int(dense.offsets[row + 1])], schema, name)


def id_of(rows: Rows, row: int) -> PointId:
    """Return the id of a row."""
    return rows.ids.at(row)


def _shown(stored: AnyArray, schema: CollectionSchema, name: str) -> AnyArray:
    vector = schema.vectors[name]
    if vector.dtype != "binary":
        return stored
    return np.unpackbits(stored, axis=-1, count=vector.dimension, bitorder="little")


def _payload(rows: Rows, row: int, wanted: Wanted) -> Payload | None:
    if wanted.payload is False:
        return None
    payload = payload_at(rows, row)
    if wanted.payload is not True:
        return _only(payload, [path.split(".") for path in wanted.payload])
    for path in wanted.payload_without:
        _drop(payload, path.split("."))
    return payload


def _only(payload: Mapping[str, Any], paths: Sequence[Sequence[str]]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in payload.items():
        rests = [path[1:] for path in paths if path[0] == key]
        if any(not rest for rest in rests):
            kept[key] = value
        elif rests and isinstance(value, dict):
            kept[key] = _only(value, rests)
        elif rests and isinstance(value, list):
            kept[key] = [_only(each, rests) for each in value if isinstance(each, dict)]
    return kept


def _drop(payload: Any, path: Sequence[str]) -> None:  # Any: JSON
    if isinstance(payload, list):
        for each in payload:
            _drop(each, path)
    elif isinstance(payload, dict):
        if len(path) == 1:
            payload.pop(path[0], None)
        elif path[0] in payload:
            _drop(payload[path[0]], path[1:])


def _vectors(rows: Rows, row: int, wanted: Wanted, schema: CollectionSchema) -> Mapping[str, Vector] | None:
    if wanted.vectors is False:
        return None
    names = (*rows.dense, *rows.sparse) if wanted.vectors is True else wanted.vectors
    found = {name: vector_at(rows, row, name, schema) for name in names if name in rows.dense or name in rows.sparse}
    return {name: vector for name, vector in found.items() if vector is not None}
