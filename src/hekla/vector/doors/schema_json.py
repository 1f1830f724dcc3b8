"""A collection's schema as `qdrant-client` writes and reads it."""

from collections.abc import Mapping
from typing import Any, get_args

from hekla.base.errors import InputError, UnsupportedError, nearest_name, quoted
from hekla.vector.doors.filter_json import path_of
from hekla.vector.doors.json_fields import Fields, Json
from hekla.vector.payload.words import words_by
from hekla.vector.schema import (
    CollectionSchema,
    FieldKind,
    FieldSchema,
    Metric,
    SparseSchema,
    TextOptions,
    VectorDtype,
    VectorSchema,
)

_METRICS: Mapping[str, Metric] = {"Cosine": "cosine", "Dot": "dot", "Euclid": "l2", "Manhattan": "manhattan"}
_DISTANCES = {metric: name for name, metric in _METRICS.items()}
_DTYPES: Mapping[str, VectorDtype] = {"float32": "f32", "float16": "f16"}
_HINTS = (  # where and how another server keeps its data: nothing here
    "shard_number",
    "sharding_method",
    "replication_factor",
    "write_consistency_factor",
    "on_disk_payload",
    "payload",
    "id_tracker",
    "hnsw_config",
    "wal_config",
    "optimizers_config",
    "quantization_config",
)


def read_create(document: Json, tenant_field: str = "") -> CollectionSchema:
    """Return the schema a request asks for. Errors: InputError, UnsupportedError, ConfigError."""
    fields = Fields(document)
    fields.ignore(*_HINTS)
    fields.refuse("strict_mode_config", "init_from", "metadata")
    given = fields.get("vectors")
    vectors: dict[str, VectorSchema] = {}
    if isinstance(given, dict) and "size" in given:
        vectors[""] = _vector(Fields(given, "$.vectors"))
    elif given is not None:
        named = Fields(given, "$.vectors")
        vectors = {name: _vector(inner) for name in named.names() if (inner := named.inner(name)) is not None}
    sparse_fields = fields.inner("sparse_vectors")
    sparse: dict[str, SparseSchema] = {}
    for name in sparse_fields.names() if sparse_fields is not None else ():
        assert sparse_fields is not None
        inner = sparse_fields.inner(name)
        assert inner is not None
        modifier = inner.text("modifier")
        if modifier not in (None, "none", "idf"):
            raise InputError(f"unknown modifier {quoted(modifier)}", where=inner.place("modifier"), cure="none or idf")
        inner.ignore("index")
        inner.end()
        sparse[name] = SparseSchema(is_idf=modifier == "idf")
    fields.end()
    indexed = {tenant_field: FieldSchema("keyword")} if tenant_field else {}
    return CollectionSchema(vectors, sparse, indexed, tenant_field=tenant_field)


def _vector(fields: Fields) -> VectorSchema:
    distance = fields.need_text("distance")
    if distance not in _METRICS:
        cure = nearest_name(distance, _METRICS)
        raise InputError(f"unknown distance {quoted(distance)}", where=fields.place("distance"), cure=cure)
    datatype = fields.text("datatype") or "float32"
    if datatype not in _DTYPES:
        raise UnsupportedError(f"no datatype {quoted(datatype)}", where=fields.place("datatype"), cure="use float32")
    multi = fields.inner("multivector_config")
    if multi is not None:
        multi.need_text("comparator")
        multi.end()
    fields.ignore("hnsw_config", "quantization_config", "on_disk", "memory")
    fields.need("size")
    found = VectorSchema(fields.whole("size", 0), _METRICS[distance], _DTYPES[datatype], multi is not None)
    fields.end()
    return found


def read_field(document: Json) -> tuple[str, FieldSchema]:
    """Return the path and schema of a payload index to create. Errors: InputError, UnsupportedError."""
    fields = Fields(document)
    path = path_of(fields, "field_name")
    given = fields.need("field_schema")
    fields.end()
    if isinstance(given, str):
        return path, FieldSchema(_kind(given, "$.field_schema"))
    options = Fields(given, "$.field_schema")
    kind = _kind(options.need_text("type"), options.place("type"))
    text = _text_options(options) if kind == "text" else TextOptions()
    options.ignore("is_tenant", "is_principal", "on_disk", "memory", "enable_hnsw", "lookup", "range", "prefix")
    options.refuse("nested", "scoring")
    options.end()
    return path, FieldSchema(kind, text)


def _text_options(options: Fields) -> TextOptions:
    tokenizer = options.text("tokenizer")
    if tokenizer not in (None, "word", "multilingual"):
        raise UnsupportedError(f"no tokenizer {quoted(tokenizer)}", where=options.place("tokenizer"), cure="use word")
    options.ignore("phrase_matching")  # phrases are always matched
    options.refuse("min_token_len", "max_token_len", "ascii_folding", "stopwords")
    stemmer = options.inner("stemmer")
    language = ""
    if stemmer is not None:
        stemmer.ignore("type")
        language = stemmer.need_text("language").lower()
        stemmer.end()
    found = TextOptions(language, options.flag("lowercase", True))
    words_by(found, options.place("stemmer.language"))
    return found


def _kind(name: str, where: str) -> FieldKind:
    known: tuple[FieldKind, ...] = get_args(FieldKind)
    for kind in known:
        if kind == name:
            return kind
    raise InputError(f"unknown kind of index {quoted(name)}", where=where, cure=nearest_name(name, known))


def vectors_json(schema: CollectionSchema) -> Json:
    """Return `config.params.vectors`."""
    each = {name: _vector_json(vector) for name, vector in schema.vectors.items()}
    return each[""] if set(each) == {""} else each


def _vector_json(vector: VectorSchema) -> dict[str, Any]:  # Any: JSON
    found: dict[str, Any] = {"size": vector.dimension, "distance": _DISTANCES[vector.metric]}
    if vector.dtype != "f32":
        found["datatype"] = {"f16": "float16", "i8": "int8", "binary": "binary"}[vector.dtype]
    if vector.is_multi:
        found["multivector_config"] = {"comparator": "max_sim"}
    return found


def params_json(schema: CollectionSchema) -> dict[str, Json]:
    """Return `config.params`."""
    params: dict[str, Json] = {"vectors": vectors_json(schema), "shard_number": 1, "replication_factor": 1}
    params |= {"write_consistency_factor": 1, "on_disk_payload": True}
    if schema.sparse:
        params["sparse_vectors"] = {
            name: {"modifier": "idf"} if sparse.is_idf else {} for name, sparse in schema.sparse.items()
        }
    return params


def payload_schema_json(schema: CollectionSchema, counts: Mapping[str, int]) -> dict[str, Json]:
    """Return `payload_schema`."""
    found: dict[str, Json] = {}
    for path, field in schema.fields.items():
        row: dict[str, Json] = {"data_type": field.kind, "points": counts.get(path, 0)}
        if field.kind == "text":
            row["params"] = {"type": "text", "tokenizer": "word", "lowercase": field.text.is_lowercase}
            if field.text.language:
                row["params"]["stemmer"] = {"type": "snowball", "language": field.text.language}
        found[path] = row
    return found


def create_json(schema: CollectionSchema) -> dict[str, Json]:
    """Return the request that creates a collection like this; payload indexes are made by requests of their own."""
    body: dict[str, Json] = {"vectors": vectors_json(schema)}
    if schema.sparse:
        body["sparse_vectors"] = params_json(schema)["sparse_vectors"]
    return body


def field_json(field: FieldSchema) -> Json:
    """Return `field_schema` of a request that makes a payload index."""
    if field.kind != "text":
        return field.kind
    found: dict[str, Json] = {"type": "text", "tokenizer": "word", "lowercase": field.text.is_lowercase}
    if field.text.language:
        found["stemmer"] = {"type": "snowball", "language": field.text.language}
    return found
