"""From a server's JSON to the values that embedded collections return."""

import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from hekla.vector.point import PointId, Record, ScoredPoint, SparseVector, Vector
from hekla.vector.records import Wanted
from hekla.vector.schema import (
    CollectionSchema,
    FieldSchema,
    Metric,
    SparseSchema,
    TextOptions,
    VectorDtype,
    VectorSchema,
)

Json = Any  # a value of a JSON document
_METRICS: Mapping[str, Metric] = {"Cosine": "cosine", "Dot": "dot", "Euclid": "l2", "Manhattan": "manhattan"}
_DTYPES: Mapping[str, VectorDtype] = {"float32": "f32", "float16": "f16", "int8": "i8", "binary": "binary"}


def id_from(value: int | str) -> PointId:
    """Return an id."""
    return value if isinstance(value, int) else uuid.UUID(value)


def record_from(document: Json) -> Record:
    """Return a point that was read back."""
    return Record(id_from(document["id"]), document.get("payload"), _vectors(document.get("vector")))


def scored_from(document: Json) -> ScoredPoint:
    """Return a point that was found."""
    record = record_from(document)
    score = document.get("order_value", document["score"])  # of an order, what it went by
    return ScoredPoint(record.id, score, record.payload, record.vectors)


def wanted_json(wanted: Wanted) -> dict[str, Json]:
    """Return `with_payload` and `with_vector`."""
    payload: Json = wanted.payload if isinstance(wanted.payload, bool) else {"include": list(wanted.payload)}
    if wanted.payload is True and wanted.payload_without:
        payload = {"exclude": list(wanted.payload_without)}
    vectors = wanted.vectors if isinstance(wanted.vectors, bool) else list(wanted.vectors)
    return {"with_payload": payload, "with_vector": vectors}


def schema_from(document: Json) -> CollectionSchema:
    """Return the schema in a collection's description."""
    params = document["config"]["params"]
    vectors = params.get("vectors") or {}
    if "size" in vectors:
        vectors = {"": vectors}
    sparse = {
        name: SparseSchema(each.get("modifier") == "idf") for name, each in params.get("sparse_vectors", {}).items()
    }
    fields = {path: _field(each) for path, each in document["payload_schema"].items()}
    return CollectionSchema({name: _vector(each) for name, each in vectors.items()}, sparse, fields)


def _vector(each: Json) -> VectorSchema:
    dtype = _DTYPES[each.get("datatype", "float32")]
    return VectorSchema(each["size"], _METRICS[each["distance"]], dtype, "multivector_config" in each)


def _field(each: Json) -> FieldSchema:
    params = each.get("params", {})
    language = params.get("stemmer", {}).get("language", "")
    return FieldSchema(each["data_type"], TextOptions(language, params.get("lowercase", True)))


def _vectors(document: Json) -> Mapping[str, Vector] | None:
    if document is None:
        return None
    if isinstance(document, list):
        return {"": np.array(document, np.float32)}
    return {name: _one(value) for name, value in document.items()}


def _one(value: Json) -> Vector:
    if isinstance(value, dict):
        return SparseVector(np.array(value["indices"], np.uint32), np.array(value["values"], np.float32))
    return np.array(value, np.float32)
