"""What a collection holds and how it keeps it, as data; its JSON form stands in every manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from hekla.base.errors import ConfigError, nearest_name, quoted

Metric = Literal["cosine", "dot", "l2", "manhattan"]
VectorDtype = Literal["f32", "f16", "i8", "binary"]
SyncPolicy = Literal["always", "interval", "off"]
FieldKind = Literal["keyword", "integer", "float", "bool", "datetime", "geo", "text", "uuid"]
MAX_DIMENSION = 65_536


@dataclass(frozen=True, slots=True)
class VectorSchema:
    """One dense vector of every point."""

    dimension: int  # 1 to 65,536; bits for binary
    metric: Metric = "cosine"
    dtype: VectorDtype = "f32"
    is_multi: bool = False  # several vectors a point, compared by max-sim (late interaction)
    index: Mapping[str, Any] = field(default_factory=dict)  # Any: options of the graph, checked by its builder


@dataclass(frozen=True, slots=True)
class SparseSchema:
    """One sparse vector of every point."""

    is_idf: bool = False  # scores are weighted by how rare a dimension is in the collection


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How a text field becomes words."""

    language: str = ""  # a Snowball stemmer's name; "": words as they are
    is_lowercase: bool = True


@dataclass(frozen=True, slots=True)
class FieldSchema:
    """One payload index. `path` is dotted: "author.name"; lists hold many values."""

    kind: FieldKind
    text: TextOptions = TextOptions()


@dataclass(frozen=True, slots=True)
class CollectionSchema:
    """A collection."""

    vectors: Mapping[str, VectorSchema]
    sparse: Mapping[str, SparseSchema] = field(default_factory=dict)
    fields: Mapping[str, FieldSchema] = field(default_factory=dict)
    sync: SyncPolicy = "always"  # when a write is acknowledged: on disk; within `sync_interval_s`; whenever
    sync_interval_s: float = 1.0
    seal_points: int = 20_000  # of the newest points, searched flat, when they become a segment
    tenant_field: str = ""  # the payload key that parts the data between tenants

    def __post_init__(self) -> None:
        for name, vector in self.vectors.items():
            where = f"$.vectors.{name}" if name else "$.vectors"
            _one_of(vector.metric, Metric, f"{where}.metric")
            _one_of(vector.dtype, VectorDtype, f"{where}.dtype")
            if isinstance(vector.dimension, bool) or not isinstance(vector.dimension, int):
                raise ConfigError(f"must be a whole number, got {quoted(vector.dimension)}", where=f"{where}.dimension")
            if not 1 <= vector.dimension <= MAX_DIMENSION:
                raise ConfigError(f"must be 1 to {MAX_DIMENSION}, got {vector.dimension}", where=f"{where}.dimension")
        if set(self.vectors) & set(self.sparse):
            both = sorted(set(self.vectors) & set(self.sparse))[0]
            raise ConfigError(f"{quoted(both)} is a dense and a sparse vector", where="$.sparse", cure="rename one")
        for path, indexed in self.fields.items():
            _one_of(indexed.kind, FieldKind, f"$.fields.{path}.kind")
        _one_of(self.sync, SyncPolicy, "$.sync")
        if self.seal_points < 1:
            raise ConfigError(f"must be at least 1, got {self.seal_points}", where="$.seal_points")


def _one_of(value: object, kind: object, where: str) -> None:
    known = get_args(kind)
    if value not in known:
        raise ConfigError(f"unknown value {quoted(value)}", where=where, cure=nearest_name(str(value), known))


def schema_to_json(schema: CollectionSchema) -> dict[str, Any]:
    """Return the JSON form. Any: JSON."""
    return {
        "vectors": {
            name: {
                "dimension": v.dimension,
                "metric": v.metric,
                "dtype": v.dtype,
                "is_multi": v.is_multi,
                "index": dict(v.index),
            }
            for name, v in schema.vectors.items()
        },
        "sparse": {name: {"is_idf": s.is_idf} for name, s in schema.sparse.items()},
        "fields": {
            path: {"kind": f.kind, "language": f.text.language, "is_lowercase": f.text.is_lowercase}
            for path, f in schema.fields.items()
        },
        "sync": schema.sync,
        "sync_interval_s": schema.sync_interval_s,
        "seal_points": schema.seal_points,
        "tenant_field": schema.tenant_field,
    }


def schema_from_json(document: Mapping[str, Any]) -> CollectionSchema:
    """Return the schema behind its JSON form, which `schema_to_json` made. Any: JSON."""
    return CollectionSchema(
        vectors={name: VectorSchema(**v) for name, v in document["vectors"].items()},
        sparse={name: SparseSchema(**s) for name, s in document["sparse"].items()},
        fields={
            path: FieldSchema(f["kind"], TextOptions(f["language"], f["is_lowercase"]))
            for path, f in document["fields"].items()
        },
        sync=document["sync"],
        sync_interval_s=document["sync_interval_s"],
        seal_points=document["seal_points"],
        tenant_field=document["tenant_field"],
    )
