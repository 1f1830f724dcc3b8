"""A collection with every kind of file and section, closed as a crash leaves it: segments, deleted rows, a log."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hekla.vector import (
    Collection,
    CollectionSchema,
    FieldSchema,
    Point,
    Record,
    SparseSchema,
    SparseVector,
    TextOptions,
)
from hekla.vector.records import ALL
from hekla.vector.schema import FieldKind, VectorSchema

FIELDS: dict[str, FieldKind] = {
    "colour": "keyword",
    "size": "integer",
    "price": "float",
    "is_new": "bool",
    "made": "datetime",
    "place": "geo",
    "owner": "uuid",
}
SCHEMA = CollectionSchema(
    {
        "": VectorSchema(4, "l2"),
        "late": VectorSchema(2, "dot", is_multi=True),
        "bits": VectorSchema(12, "l2", "binary"),
    },
    {"words": SparseSchema()},
    {**{name: FieldSchema(kind) for name, kind in FIELDS.items()}, "text": FieldSchema("text", TextOptions("english"))},
)
WORDS = ("cat", "dog", "run", "sat", "mat")


def point(key: int) -> Point:
    """A point of everything; each seventh lacks a vector, each fifth has a UUID."""
    rng = np.random.default_rng(key)
    vectors: dict[str, Any] = {
        "": rng.normal(size=4),
        "late": rng.normal(size=(1 + key % 3, 2)),
        "bits": rng.integers(0, 2, 12),
        "words": SparseVector(np.array([key % 5, 7 + key % 3], np.uint32), np.array([1.0, 0.5], np.float32)),
    }
    if key % 7 == 0:
        del vectors[""]
    payload = {
        "colour": ["red", "green"][key % 2],
        "size": key,
        "price": key / 4,
        "is_new": key % 2 == 0,
        "made": f"2024-01-{1 + key % 28:02d}T00:00:00Z",
        "place": {"lat": key % 90, "lon": -key % 180},
        "owner": f"00000000-0000-0000-0000-{key:012d}",
        "text": " ".join(WORDS[(key + i) % 5] for i in range(3)),
        "other": [1, {"two": None}],
    }
    return Point(id_of(key), vectors, payload)


def id_of(key: int) -> Any:
    """A number, or for each fifth a UUID."""
    import uuid

    return uuid.UUID(int=key << 64 | key) if key % 5 == 0 else key


def write_whole(folder: Path) -> None:
    """Make the collection: two segments, one with deleted rows, and three batches in the log alone."""
    building = folder.with_name("building")
    with Collection.create(building, SCHEMA, has_upkeep=False) as collection:
        collection.upsert([point(key) for key in range(40)])
        collection.optimise()
        collection.upsert([point(key) for key in range(40, 60)])
        collection.delete([id_of(key) for key in (1, 5, 6)])
        collection.optimise(is_whole=False)
        collection.upsert([point(60), point(61)])
        collection.delete([id_of(2), id_of(61)])
        collection.set_payload({"colour": "blue"}, [id_of(60)])
        shutil.copytree(building, folder)  # what a process killed now leaves
    shutil.rmtree(building)


def everything(collection: Collection) -> dict[Any, Record]:
    """Every point, read in full."""
    records, after = collection.scroll(limit=1000, wanted=ALL)
    assert after is None
    return {record.id: record for record in records}


def same(one: Record, other: Record) -> bool:
    """Whether two records are equal, vectors and all."""
    if one.id != other.id or one.payload != other.payload:
        return False
    assert one.vectors is not None
    assert other.vectors is not None
    return one.vectors.keys() == other.vectors.keys() and all(
        _same(vector, other.vectors[name]) for name, vector in one.vectors.items()
    )


def _same(one: Any, other: Any) -> bool:  # Any: dense or sparse
    if isinstance(one, SparseVector):
        return np.array_equal(one.indices, other.indices) and np.array_equal(one.values, other.values)
    return np.array_equal(one, other)


def wrong_in(found: dict[Any, Record], right: dict[Any, Record]) -> Sequence[Any]:
    """The ids that came back other than they were written. Missing ones are none."""
    return [key for key, record in found.items() if key not in right or not same(record, right[key])]
