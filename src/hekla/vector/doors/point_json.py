"""Points as `qdrant-client` writes and reads them."""

import uuid
from collections.abc import Mapping, Sequence

import numpy as np
import orjson

from hekla.base.errors import InputError, UnsupportedError, quoted
from hekla.vector.doors.inference import Inference, Pending, is_document
from hekla.vector.doors.json_fields import Fields, Json
from hekla.vector.errors import PointError
from hekla.vector.point import Point, PointId, Record, ScoredPoint, SparseVector, Vector, read_id
from hekla.vector.records import ID_ONLY, Wanted
from hekla.vector.schema import CollectionSchema

Given = Vector | Pending


def read_points(document: Json, schema: CollectionSchema, inference: Inference, where: str = "$") -> list[Point]:
    """Return the points of `{"points": [...]}` or `{"batch": {...}}`, texts turned into vectors.

    Errors: PointError, InputError naming the place; those of the model that embeds.
    """
    fields = Fields(document, where)
    fields.ignore("shard_key")
    fields.refuse("update_filter", "update_mode")
    batch = fields.inner("batch")
    if batch is not None:
        rows = _batch_rows(batch, schema, inference)
    else:
        fields.need("points")
        each = enumerate(fields.items("points") or [])
        rows = [_point_row(Fields(point, f"{where}.points[{i}]"), schema, inference) for i, point in each]
    fields.end()
    inference.run()
    return [Point(id_, _resolved(vectors), payload) for id_, vectors, payload in rows]


Row = tuple[PointId, Mapping[str, Given], Mapping[str, Json]]


def _point_row(fields: Fields, schema: CollectionSchema, inference: Inference) -> Row:
    id_ = read_id(fields.need("id"), fields.place("id"))
    vectors = read_vectors(fields.get("vector"), schema, inference, fields.place("vector"))
    payload = fields.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise PointError(f"expected a JSON object, got {quoted(payload)}", where=fields.place("payload"))
    fields.end()
    return id_, vectors, payload or {}


def _batch_rows(fields: Fields, schema: CollectionSchema, inference: Inference) -> list[Row]:
    fields.need("ids")
    ids = [read_id(value, f"{fields.place('ids')}[{i}]") for i, value in enumerate(fields.items("ids") or [])]
    payloads = fields.items("payloads") or [{}] * len(ids)
    given = fields.need("vectors")
    named = given if isinstance(given, dict) else {"": given}
    for name, column in (*named.items(), ("payloads", payloads)):
        if not isinstance(column, list) or len(column) != len(ids):
            raise PointError(f"expected a list of {len(ids)}, as many as ids", where=fields.place(name or "vectors"))
    fields.end()
    rows: list[Row] = []
    for i, id_ in enumerate(ids):
        each = {name: column[i] for name, column in named.items() if column[i] is not None}
        vectors = read_vectors(each, schema, inference, f"{fields.where}.vectors[{i}]")
        payload = payloads[i] if payloads[i] is not None else {}
        if not isinstance(payload, dict):
            raise PointError(f"expected a JSON object, got {quoted(payload)}", where=f"{fields.where}.payloads[{i}]")
        rows.append((id_, vectors, payload))
    return rows


def _resolved(vectors: Mapping[str, Given]) -> Mapping[str, Vector]:
    return {name: value.vector if isinstance(value, Pending) else value for name, value in vectors.items()}


def read_vectors(given: Json, schema: CollectionSchema, inference: Inference, where: str) -> Mapping[str, Given]:
    """Return a point's vectors by name: one unnamed, or an object of named ones."""
    if given is None:
        return {}
    if isinstance(given, dict) and not is_document(given):
        each = {name: (value, f"{where}.{name}") for name, value in given.items() if value is not None}
    else:
        each = {"": (given, where)}
    return {name: read_vector(value, inference, place) for name, (value, place) in each.items()}


def read_vector(value: Json, inference: Inference, where: str) -> Given:
    """Return one vector: numbers, lists of numbers, indices and values, or what a text will become."""
    if isinstance(value, list):
        return value
    if is_document(value):
        return inference.add(Fields(value, where))
    if isinstance(value, dict) and ("image" in value or "object" in value):
        raise UnsupportedError("only texts are turned into vectors here", where=where)
    fields = Fields(value, where)
    fields.need("indices")
    fields.need("values")
    indices, values = fields.items("indices") or [], fields.items("values") or []
    fields.end()
    if not all(type(index) is int and 0 <= index < 2**32 for index in indices):
        raise PointError("indices are whole numbers below 2^32", where=f"{where}.indices")
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in values):
        raise PointError("expected numbers", where=f"{where}.values")
    return SparseVector(np.array(indices, np.uint32), np.array(values, np.float32))


def read_vectors_of_points(document: Json, schema: CollectionSchema, inference: Inference, where: str) -> list[Point]:
    """Return points with the vectors to update, as `{"points": [{"id", "vector"}]}` has them."""
    fields = Fields(document, where)
    fields.ignore("shard_key")
    fields.refuse("update_filter")
    fields.need("points")
    rows = []
    for i, value in enumerate(fields.items("points") or []):
        point = Fields(value, f"{where}.points[{i}]")
        id_ = read_id(point.need("id"), point.place("id"))
        rows.append((id_, read_vectors(point.need("vector"), schema, inference, point.place("vector"))))
        point.end()
    fields.end()
    inference.run()
    return [Point(id_, _resolved(vectors)) for id_, vectors in rows]


def read_wanted(fields: Fields, *, payload: bool) -> Wanted:
    """Return what of points is wanted: `with_payload`, `with_vector`. `payload`: where nothing is said."""
    of_payload, without = _read_payload_wish(fields, payload)
    name = "with_vectors" if fields.get("with_vectors") is not None else "with_vector"
    vectors = fields.get(name)
    if vectors is None:
        vectors = False
    if isinstance(vectors, list):
        vectors = tuple(fields.texts(name))
    elif not isinstance(vectors, bool):
        raise InputError("expected true, false or a list of names", where=fields.place(name))
    if of_payload is False and vectors is False:
        return ID_ONLY
    return Wanted(of_payload, without, vectors)


def _read_payload_wish(fields: Fields, default: bool) -> tuple[bool | tuple[str, ...], tuple[str, ...]]:
    wish = fields.get("with_payload")
    if wish is None:
        return default, ()
    if isinstance(wish, bool):
        return wish, ()
    if isinstance(wish, list):
        return tuple(fields.texts("with_payload")), ()
    inner = Fields(wish, fields.place("with_payload"))
    include = tuple(inner.texts("include")) if inner.get("include") is not None else None
    exclude = tuple(inner.texts("exclude")) if inner.get("exclude") is not None else ()
    inner.end()
    if include is not None and exclude:
        raise InputError("expected include or exclude, got both", where=fields.place("with_payload"))
    return (True if include is None else include), exclude


def id_json(id_: PointId) -> int | str:
    """Return an id as JSON has it."""
    return str(id_) if isinstance(id_, uuid.UUID) else id_


def record_json(record: Record | ScoredPoint) -> dict[str, Json]:
    """Return a point that was read back. NumPy arrays in it are for `dumps`."""
    found: dict[str, Json] = {"id": id_json(record.id)}
    if record.payload is not None:
        found["payload"] = record.payload
    if record.vectors is not None:
        found["vector"] = vectors_json(record.vectors)
    return found


def scored_json(points: Sequence[ScoredPoint], wanted: Wanted) -> list[Json]:
    """Return points that were found."""
    if wanted is ID_ONLY:  # most searches
        return [{"id": id_json(point.id), "version": 0, "score": point.score} for point in points]
    return [{**record_json(point), "version": 0, "score": point.score} for point in points]


def vectors_json(vectors: Mapping[str, Vector]) -> Json:
    """Return a point's vectors: the unnamed one alone as it is, others by name."""
    each = {name: _vector_json(vector) for name, vector in vectors.items()}
    return each[""] if set(each) == {""} else each


def _vector_json(vector: Vector) -> Json:
    if isinstance(vector, SparseVector):
        return {"indices": _plain(vector.indices), "values": _plain(vector.values)}
    return _plain(np.asarray(vector))


def _plain(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Json:
    if array.dtype == np.dtype(np.float16):
        array = array.astype(np.float32)
    return np.ascontiguousarray(array)


def dumps(document: Json) -> bytes:
    """Return a document as JSON text, arrays in it as lists."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def read_example(value: Json, inference: Inference, where: str) -> Vector | PointId:
    """Return what a query is about: a vector, a text turned into one, or the id of a point."""
    if isinstance(value, int | str):
        return read_id(value, where)
    given = read_vector(value, inference, where)
    if isinstance(given, Pending):
        inference.run()
        return given.vector
    return given


def read_examples(values: Sequence[Json] | None, inference: Inference, where: str) -> tuple[Vector | PointId, ...]:
    """Return several."""
    return tuple(read_example(value, inference, f"{where}[{i}]") for i, value in enumerate(values or ()))


def point_json(point: Point) -> dict[str, Json]:
    """Return a point as a request to upsert has it."""
    return {"id": id_json(point.id), "vector": vectors_json(point.vectors), "payload": dict(point.payload)}
