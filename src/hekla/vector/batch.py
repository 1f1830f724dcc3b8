"""From what a caller wrote to columns, checked: dimension, finite numbers, ids, payloads that are JSON."""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from hekla.base.errors import nearest_name, quoted
from hekla.vector.errors import PointError
from hekla.vector.point import Payload, Point, PointId, SparseVector, Vector, read_id
from hekla.vector.rows import DTYPES, AnyArray, Dense, Ids, Payloads, Rows, Sparse, ids_of, row_shape
from hekla.vector.schema import CollectionSchema, VectorSchema

MAX_POINTS = 1_000_000
MAX_PAYLOAD_BYTES = 16 << 20


def rows_from_points(schema: CollectionSchema, points: Sequence[Point], where: str = "$.points") -> Rows:
    """Return points as columns, the last of those with the same id. Errors: PointError naming the place."""
    _check_count(len(points), where)
    ids = [read_id(point.id, f"{where}[{i}].id") for i, point in enumerate(points)]
    known_names = schema.vectors.keys() | schema.sparse.keys()
    for i, point in enumerate(points):
        given: object = point.vectors  # whatever the caller passed
        if not isinstance(given, dict | Mapping):
            cure = 'write {"": vector} for the vector without a name'
            raise PointError("expected vectors by their names", where=f"{where}[{i}].vector", cure=cure)
        for name in point.vectors:
            if name not in known_names:
                known = nearest_name(name, {*schema.vectors, *schema.sparse})
                raise PointError(f"no vector is named {quoted(name)}", where=f"{where}[{i}].vector", cure=known)
    dense = {
        name: _dense_column(vector, [point.vectors.get(name) for point in points], name, where)
        for name, vector in schema.vectors.items()
    }
    sparse = {
        name: _sparse_column([point.vectors.get(name) for point in points], name, where) for name in schema.sparse
    }
    payloads = payload_column([point.payload for point in points], where)
    return last_of_each(Rows(ids_of(ids), dense, sparse, payloads))


def rows_from_arrays(
    schema: CollectionSchema,
    ids: NDArray[np.uint64] | Sequence[PointId],
    vectors: Mapping[str, AnyArray],
    payloads: Sequence[Payload] | None = None,
) -> Rows:
    """Return columns from arrays: ids (n,), each vector (n, dimension), payloads (n,). Errors: PointError."""
    _check_count(len(ids), "ids")
    numbers = np.asarray(ids)
    if numbers.ndim != 1:
        raise PointError(f"expected one id a point, got shape {numbers.shape}", where="ids")
    if numbers.dtype.kind in "ui" and (numbers.dtype.kind == "u" or bool((numbers >= 0).all())):
        column = Ids(numbers.astype(np.uint64), np.zeros(len(ids), np.uint64), np.zeros(len(ids), np.bool_))
    else:
        column = ids_of([read_id(value, f"ids[{i}]") for i, value in enumerate(ids)])
    unknown = sorted(set(vectors) - set(schema.vectors))
    if unknown:
        raise PointError(
            f"no dense vector is named {quoted(unknown[0])}",
            where="vectors",
            cure=nearest_name(unknown[0], schema.vectors),
        )
    dense = {}
    for name, vector in schema.vectors.items():
        if vector.is_multi or name not in vectors:
            dense[name] = _dense_column(vector, [None] * len(ids), name, "vectors")
            continue
        given = np.asarray(vectors[name])
        if given.shape != (len(ids), vector.dimension):
            raise PointError(
                f"expected shape ({len(ids)}, {vector.dimension}), got {given.shape}", where=f"vectors[{name!r}]"
            )
        dense[name] = Dense(stored_form(vector, given, f"vectors[{name!r}]"), None)
    sparse = {name: _sparse_column([None] * len(ids), name, "vectors") for name in schema.sparse}
    texts = payload_column(payloads if payloads is not None else [{}] * len(ids), "payloads")
    if len(texts.offsets) != len(ids) + 1:
        raise PointError(f"expected {len(ids)}, got {len(texts.offsets) - 1}", where="payloads")
    return last_of_each(Rows(column, dense, sparse, texts))


def copied(points: Sequence[Point]) -> list[Point]:
    """Return points that stay as they are whatever their maker does with his. Errors: PointError for a payload."""
    return [
        Point(
            point.id,
            {name: _copied(vector) for name, vector in point.vectors.items()},
            _json(point.payload, f"$.points[{i}].payload"),  # type: ignore[arg-type]  # `payload_column` takes text
        )
        for i, point in enumerate(points)
    ]


def _copied(vector: Vector) -> Vector:
    if isinstance(vector, SparseVector):
        return SparseVector(np.array(vector.indices), np.array(vector.values))
    try:
        return np.array(vector)
    except ValueError:  # rows of different lengths: refused when it is read
        return copy.deepcopy(vector)


def last_of_each(rows: Rows) -> Rows:
    """Return the rows less those whose id comes again later."""
    if len(rows) < 2:
        return rows
    keys = rows.ids.as_keys()
    last = {key: row for row, key in enumerate(keys)}
    return rows if len(last) == len(keys) else rows.take(np.array(sorted(last.values()), np.int64))


def stored_form(vector: VectorSchema, given: AnyArray, where: str) -> AnyArray:
    """Return vectors (n, dimension) in the form that is stored: finite, normalised for cosine, of the dtype.

    Binary vectors take 0 and 1 (or what is above 0 as 1) and are stored a bit each, the first in the lowest bit.
    Errors: PointError naming the first row that is wrong.
    """
    if given.dtype.kind not in "fiub":
        raise PointError(f"expected numbers, got {given.dtype}", where=where)
    if vector.dtype == "binary":
        _refuse_first(given == given, where, "holds NaN", "clean the vectors")  # false for NaN alone
        return np.packbits(given > 0, axis=1, bitorder="little")
    if vector.dtype == "i8":
        rounded = np.rint(given)
        _refuse_first(
            (rounded >= -128) & (rounded <= 127),
            where,
            "holds a number that is no i8 (-128 to 127)",
            "scale the vectors, or use f32",
        )
        return rounded.astype(np.int8)
    with np.errstate(over="ignore"):  # what is too large becomes infinity, and is refused as that
        numbers = given.astype(np.float32, copy=False)
    if not math.isfinite(np.vdot(numbers, numbers)):  # or the squares overflowed
        _refuse_first(np.isfinite(numbers), where, "holds NaN or infinity", "clean the vectors")
    if vector.metric == "cosine":
        lengths = np.sqrt(np.einsum("nd,nd->n", numbers, numbers, dtype=np.float64))
        _refuse_first(
            lengths[:, None] > 0,
            where,
            "is all zeros, which has no direction",
            'use metric "dot" or "l2", or leave it out',
        )
        numbers = (numbers / lengths[:, None]).astype(np.float32)
    if vector.dtype == "f32":
        return numbers
    with np.errstate(over="ignore"):
        stored: AnyArray = numbers.astype(DTYPES[vector.dtype])
    _refuse_first(np.isfinite(stored), where, "holds a number too large for f16", "use f32")
    return stored


def payload_column(payloads: Iterable[Payload | bytes], where: str) -> Payloads:
    """Return payloads as JSON text, columns. Errors: PointError for what is no JSON object, or too large."""
    texts: list[bytes] = []
    for i, payload in enumerate(payloads):
        text = payload if isinstance(payload, bytes) else _json(payload, f"{where}[{i}].payload")
        if len(text) > MAX_PAYLOAD_BYTES:
            raise PointError(f"is {len(text)} bytes, the limit is {MAX_PAYLOAD_BYTES}", where=f"{where}[{i}].payload")
        texts.append(b"" if text == b"{}" else text)
    offsets = np.array([0, *accumulate(map(len, texts))], np.uint64)
    return Payloads(offsets, np.frombuffer(b"".join(texts), np.uint8))


def read_vector(vector: VectorSchema, value: Vector, where: str) -> AnyArray:
    """Return one caller's vector, or its several, in the form that is stored: (m, row_shape). Errors: PointError."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise PointError("expected a list of numbers", where=where) from None
    if array.dtype.kind not in "fiub":
        raise PointError("expected a list of numbers", where=where)
    array = array.reshape(1, -1) if array.ndim == 1 else array
    if (
        array.ndim != 2
        or array.shape[1] != vector.dimension
        or not len(array)
        or (len(array) != 1 and not vector.is_multi)
    ):
        got = "x".join(str(size) for size in array.shape)
        raise PointError(
            f"expected {vector.dimension} numbers, got {got}", where=where, cure="see the collection's schema"
        )
    return stored_form(vector, array, where)


def _dense_column(vector: VectorSchema, given: Sequence[Vector | None], name: str, where: str) -> Dense:
    n, width = len(given), row_shape(vector)
    is_present = np.array([value is not None for value in given], np.bool_)
    suffix = f".{name}" if name else ""
    if not vector.is_multi and is_present.all() and n:
        together = _together(given)
        if together is not None and together.shape == (n, vector.dimension):
            return Dense(stored_form(vector, together, f"{where}[*].vector{suffix}"), None)
    pieces = [
        np.zeros((0 if vector.is_multi else 1, width), DTYPES[vector.dtype])
        if value is None
        else read_vector(vector, value, f"{where}[{i}].vector{suffix}")
        for i, value in enumerate(given)
    ]
    values: AnyArray = np.concatenate(pieces) if pieces else np.zeros((0, width), DTYPES[vector.dtype])
    offsets = np.cumsum([0, *(len(piece) for piece in pieces)]).astype(np.uint64) if vector.is_multi else None
    return Dense(values, None if is_present.all() else is_present, offsets)


def _together(given: Sequence[Any]) -> AnyArray | None:  # Any: what a caller wrote
    """Return all vectors as one array, or None where that hides which one is wrong."""
    try:
        array = np.asarray(given)
    except ValueError:
        return None
    return array if array.dtype.kind in "fiub" and array.ndim == 2 else None


def _sparse_column(given: Sequence[Vector | None], name: str, where: str) -> Sparse:
    indices: list[AnyArray] = []
    values: list[AnyArray] = []
    for i, value in enumerate(given):
        if value is None:
            value = SparseVector(np.zeros(0, np.uint32), np.zeros(0, np.float32))
        if not isinstance(value, SparseVector):
            raise PointError("expected a sparse vector: indices and values", where=f"{where}[{i}].vector.{name}")
        checked = checked_sparse(value, f"{where}[{i}].vector.{name}")
        indices.append(checked.indices)
        values.append(checked.values)
    offsets = np.cumsum([0, *(len(piece) for piece in indices)]).astype(np.uint64)
    return Sparse(
        offsets,
        np.concatenate(indices) if indices else np.zeros(0, np.uint32),
        np.concatenate(values) if values else np.zeros(0, np.float32),
    )


def checked_sparse(value: SparseVector, where: str) -> SparseVector:
    """Return a sparse vector with rising indices. Errors: PointError."""
    indices, values = np.asarray(value.indices), np.asarray(value.values, np.float32)
    if indices.shape != values.shape or indices.ndim != 1:
        raise PointError(f"has {indices.size} indices and {values.size} values", where=where)
    if len(indices) and (indices.dtype.kind not in "ui" or indices.min() < 0 or indices.max() >= 2**32):
        raise PointError("indices are whole numbers below 2^32", where=where)
    if not np.isfinite(values).all():
        raise PointError("holds NaN or infinity", where=where)
    order = np.argsort(indices, kind="stable")
    rising = indices[order].astype(np.uint32)
    if len(rising) > 1 and (rising[1:] == rising[:-1]).any():
        raise PointError("names an index twice", where=where)
    return SparseVector(rising, values[order])


def _json(payload: Payload, where: str) -> bytes:
    if not isinstance(payload, Mapping):
        raise PointError(f"expected a JSON object, got {quoted(payload)}", where=where)
    try:
        return orjson.dumps(dict(payload), option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z)
    except TypeError as error:
        raise PointError(f"is no JSON: {error}", where=where) from error


def _check_count(count: int, where: str) -> None:
    if count > MAX_POINTS:
        raise PointError(f"holds {count} points, the limit is {MAX_POINTS}", where=where, cure="send several batches")


def _refuse_first(is_good: NDArray[np.bool_], where: str, what: str, cure: str) -> None:
    """Refuse the first row (n, d) that is not good all along."""
    if not is_good.all():
        row = int(np.argmin(is_good.all(axis=1)))
        place = where.replace("[*]", f"[{row}]") if "[*]" in where else f"{where}[{row}]" if len(is_good) > 1 else where
        raise PointError(what, where=place, cure=cure)
