"""What the routes take, as JSON schemas."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]  # Any: JSON

_ANY: Json = {}
_TEXT, _WHOLE, _NUMBER, _FLAG = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
_VECTOR = {
    "description": "numbers; lists of numbers; indices and values; a text to embed; by name",
    "anyOf": [
        {"type": "array", "items": {"type": "number"}},
        {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        {
            "type": "object",
            "properties": {
                "indices": {"type": "array", "items": {"type": "integer"}},
                "values": {"type": "array", "items": {"type": "number"}},
            },
        },
        {"type": "object", "properties": {"text": _TEXT, "model": _TEXT}},
        {"type": "object"},
    ],
}
_ID = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "format": "uuid"}]}
_IDS = {"type": "array", "items": _ID}


def _list_of(item: Json) -> Json:
    return {"type": "array", "items": item}


def _object(required: tuple[str, ...] = (), /, **properties: Json) -> Json:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


_CONDITION = _object(key=_TEXT, match=_object(), range=_object(gt=_ANY, gte=_ANY, lt=_ANY, lte=_ANY), has_id=_IDS)
_FILTER = _object(must=_list_of(_CONDITION), should=_list_of(_CONDITION), must_not=_list_of(_CONDITION))
_WANTED = {
    "with_payload": {"anyOf": [_FLAG, _list_of(_TEXT), {"type": "object"}]},
    "with_vector": {"anyOf": [_FLAG, _list_of(_TEXT)]},
}
_PARAMS = _object(hnsw_ef=_WHOLE, exact=_FLAG)
_POINT = _object(("id",), id=_ID, vector=_VECTOR, payload={"type": "object"})
_POINTS = _object(points=_list_of(_POINT), batch=_object(ids=_IDS, vectors=_ANY, payloads=_list_of({"type": "object"})))
_SELECTION: Mapping[str, Json] = {"points": _IDS, "filter": _FILTER}
_PAYLOAD = _object(("payload",), payload={"type": "object"}, key=_TEXT, **_SELECTION)
_QUERY = {
    "description": "a vector, an id, a text, or an object with one of the keys below",
    "anyOf": [
        _VECTOR,
        _ID,
        _object(("nearest",), nearest=_ANY, mmr=_object(diversity=_NUMBER, candidates_limit=_WHOLE)),
        _object(("formula",), formula=_ANY, defaults={"type": "object"}),
        _object(("recommend",), recommend=_object(positive=_list_of(_ANY), negative=_list_of(_ANY), strategy=_TEXT)),
        _object(("discover",), discover=_object(target=_ANY, context=_list_of(_object(positive=_ANY, negative=_ANY)))),
        _object(("context",), context=_list_of(_object(positive=_ANY, negative=_ANY))),
        _object(("order_by",), order_by=_ANY),
        _object(("fusion",), fusion={"enum": ["rrf", "dbsf", "weighted"]}, weights=_list_of(_NUMBER)),
        _object(("rrf",), rrf=_object(k=_WHOLE, weights=_list_of(_NUMBER))),
        _object(("sample",), sample={"const": "random"}, seed=_WHOLE),
        _object(("words", "path"), words=_TEXT, path=_TEXT),
    ],
}
_PLAIN: Mapping[str, Json] = {
    "query": _QUERY,
    "using": _TEXT,
    "filter": _FILTER,
    "limit": {"type": "integer", "minimum": 1},
    "params": _PARAMS,
    "score_threshold": _NUMBER,
}
_DEADLINE = {"deadline_s": {"type": "number", "description": "after so many seconds, the best so far: hekla-complete"}}
_PREFETCH = _list_of(_object(("query",), **_PLAIN))
_SEARCH = _object(**_PLAIN, **_DEADLINE, offset=_WHOLE, prefetch=_PREFETCH, **_WANTED)
_FIELD = _object(("field_name", "field_schema"), field_name=_TEXT, field_schema={"anyOf": [_TEXT, {"type": "object"}]})
_MATRIX = _object(filter=_FILTER, sample=_WHOLE, limit=_WHOLE, using=_TEXT)
_SIZE = _object(("size", "distance"), size=_WHOLE, distance={"enum": ["Cosine", "Dot", "Euclid", "Manhattan"]})

# By the end of the pattern and the method; the longest end that fits counts.
BODIES: Mapping[tuple[str, str], Json] = {
    ("PUT", "/collections/{name}"): _object(
        vectors={"anyOf": [_SIZE, {"type": "object", "additionalProperties": _SIZE}]}, sparse_vectors={"type": "object"}
    ),
    ("PUT", "/index"): _FIELD,
    ("PUT", "/points"): _POINTS,
    ("POST", "/points"): _object(("ids",), ids=_IDS, **_WANTED),
    ("POST", "/points/delete"): _object(**_SELECTION),
    ("POST", "/points/payload"): _PAYLOAD,
    ("PUT", "/points/payload"): _PAYLOAD,
    ("POST", "/points/payload/delete"): _object(("keys",), keys=_list_of(_TEXT), **_SELECTION),
    ("POST", "/points/payload/clear"): _object(**_SELECTION),
    ("PUT", "/points/vectors"): _object(
        ("points",), points=_list_of(_object(("id", "vector"), id=_ID, vector=_VECTOR))
    ),
    ("POST", "/points/vectors/delete"): _object(("vector",), vector=_list_of(_TEXT), **_SELECTION),
    ("POST", "/points/batch"): _object(("operations",), operations=_list_of({"type": "object"})),
    ("POST", "/points/query"): _SEARCH,
    ("POST", "/points/query/batch"): _object(("searches",), searches=_list_of(_SEARCH)),
    ("POST", "/points/query/groups"): _object(
        ("group_by",), **_PLAIN, **_DEADLINE, prefetch=_PREFETCH, group_by=_TEXT, group_size=_WHOLE, **_WANTED
    ),
    ("POST", "/points/scroll"): _object(
        filter=_FILTER, limit={"type": "integer", "minimum": 1}, offset=_ID, order_by=_ANY, **_WANTED
    ),
    ("POST", "/points/count"): _object(filter=_FILTER, exact=_FLAG),
    ("POST", "/search/matrix/pairs"): _MATRIX,
    ("POST", "/search/matrix/offsets"): _MATRIX,
    ("POST", "/facet"): _object(("key",), key=_TEXT, filter=_FILTER, limit={"type": "integer", "minimum": 1}),
    ("POST", "/collections/aliases"): _object(("actions",), actions=_list_of({"type": "object"})),
    ("PUT", "/snapshots/recover"): _object(("location",), location=_TEXT, checksum=_TEXT),
}


def body_of(method: str, pattern: str) -> Json:
    """Return the schema of a route's body: an object where nothing more is said."""
    fitting = [end for of, end in BODIES if of == method and pattern.endswith(end)]
    return BODIES[method, max(fitting, key=len)] if fitting else {"type": "object"}
