"""The same random points in the server and in `qdrant-client`'s own local mode, which is the oracle."""

import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

NAME = "world"
COLOURS = ("red", "green", "blue", "grey")
WORDS = ("winter", "storm", "harbour", "fish", "market", "glacier", "sheep", "road")
DENSE, SPARSE_SIZE = {"d": 8, "e": 5, "m": 4, "p": 6}, 60

Payload = dict[str, Any]  # Any: JSON


def vectors_config() -> dict[str, models.VectorParams]:
    """Return one named vector a metric."""
    metrics = {
        "d": models.Distance.COSINE,
        "e": models.Distance.EUCLID,
        "m": models.Distance.MANHATTAN,
        "p": models.Distance.DOT,
    }
    return {name: models.VectorParams(size=DENSE[name], distance=metric) for name, metric in metrics.items()}


def create(client: QdrantClient, name: str = NAME) -> None:
    """Make the collection."""
    client.create_collection(
        name, vectors_config=vectors_config(), sparse_vectors_config={"s": models.SparseVectorParams()}
    )


def dense(rng: np.random.Generator, name: str) -> list[float]:
    """Return a random vector."""
    return [float(x) for x in rng.normal(size=DENSE[name])]


def sparse(rng: np.random.Generator) -> models.SparseVector:
    """Return a random sparse vector."""
    indices = sorted(int(i) for i in rng.choice(SPARSE_SIZE, 12, replace=False))
    return models.SparseVector(indices=indices, values=[float(x) for x in rng.uniform(0.1, 2, 12)])


def payload(rng: np.random.Generator, number: int) -> Payload:
    """Return a payload; some fields are missing, null, lists or nested."""
    found: Payload = {
        "colour": str(rng.choice(COLOURS)),
        "number": int(rng.integers(0, 100)),
        "order": number * 7919 % 100_003,
        "price": float(np.round(rng.uniform(0, 10), 3)),
        "flag": bool(rng.integers(0, 2)),
        "text": " ".join(rng.choice(WORDS, 4)),
        "tags": [str(tag) for tag in rng.choice(COLOURS, int(rng.integers(0, 4)))],
        "at": f"2024-0{rng.integers(1, 10)}-1{rng.integers(0, 10)}T0{rng.integers(0, 10)}:00:00Z",
        "place": {"lat": float(rng.uniform(-60, 60)), "lon": float(rng.uniform(-170, 170))},
        "author": {"name": str(rng.choice(WORDS)), "age": int(rng.integers(20, 60))},
        "parts": [
            {"kind": str(rng.choice(COLOURS)), "size": int(rng.integers(0, 10))} for _ in range(int(rng.integers(0, 4)))
        ],
    }
    if rng.random() < 0.2:
        found["number"] = None
    if rng.random() < 0.2:
        del found["price"]
    return found


def points(seed: int, count: int) -> list[models.PointStruct]:
    """Return random points, a few of them with UUIDs, some without some vectors."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        vectors: dict[str, Any] = {name: dense(rng, name) for name in DENSE}  # Any: dense or sparse
        vectors["s"] = sparse(rng)
        if rng.random() < 0.1:
            del vectors["e"]
        id_ = str(uuid.UUID(int=int(rng.integers(1, 2**62)))) if rng.random() < 0.2 else number
        made.append(models.PointStruct(id=id_, vector=vectors, payload=payload(rng, number)))
    return made


def random_filter(rng: np.random.Generator, depth: int = 2) -> models.Filter:
    """Return a random filter over the payloads of `payload`."""
    clauses: dict[str, Any] = {}  # Any: lists of conditions
    for name in ("must", "should", "must_not"):
        if rng.random() < 0.5:
            clauses[name] = [_condition(rng, depth) for _ in range(int(rng.integers(1, 3)))]
    if rng.random() < 0.15:
        conditions = [_condition(rng, 0) for _ in range(3)]
        clauses["min_should"] = models.MinShould(conditions=conditions, min_count=2)
    return models.Filter(**clauses)


def _condition(rng: np.random.Generator, depth: int) -> Any:  # Any: one of a dozen classes of the client
    if depth and rng.random() < 0.2:
        return random_filter(rng, depth - 1)
    low = float(rng.uniform(0, 60))
    makers: Sequence[Any] = (
        lambda: _field("colour", match=models.MatchValue(value=str(rng.choice(COLOURS)))),
        lambda: _field("tags", match=models.MatchAny(any=[str(c) for c in rng.choice(COLOURS, 2)])),
        lambda: _field("colour", match=models.MatchExcept(**{"except": [str(c) for c in rng.choice(COLOURS, 2)]})),
        lambda: _field("number", match=models.MatchValue(value=int(rng.integers(0, 100)))),
        lambda: _field("flag", match=models.MatchValue(value=bool(rng.integers(0, 2)))),
        lambda: _field("number", range=models.Range(gte=low, lt=low + 40)),
        lambda: _field("price", range=models.Range(gt=low / 10)),
        lambda: _field("author.age", range=models.Range(lte=20 + low)),
        lambda: _field(
            "at", range=models.DatetimeRange(gte=datetime(2024, 3, 1, tzinfo=UTC), lt=datetime(2024, 8, 1, tzinfo=UTC))
        ),
        lambda: _field("tags", values_count=models.ValuesCount(gte=1, lt=3)),
        lambda: _field(
            "place", geo_radius=models.GeoRadius(center=models.GeoPoint(lat=10, lon=low), radius=4_000_000 + 1e4 * low)
        ),
        lambda: _field(
            "place",
            geo_bounding_box=models.GeoBoundingBox(
                top_left=models.GeoPoint(lat=low, lon=-100), bottom_right=models.GeoPoint(lat=-40, lon=low)
            ),
        ),
        lambda: _field("place", geo_polygon=_triangle(low)),
        lambda: models.IsEmptyCondition(is_empty=models.PayloadField(key=str(rng.choice(["price", "number", "tags"])))),
        lambda: models.IsNullCondition(is_null=models.PayloadField(key="number")),
        lambda: models.HasIdCondition(has_id=[int(i) for i in rng.integers(0, 200, 20)]),
        lambda: models.HasVectorCondition(has_vector="e"),
        lambda: models.NestedCondition(
            nested=models.Nested(
                key="parts",
                filter=models.Filter(
                    must=[
                        _field("kind", match=models.MatchValue(value=str(rng.choice(COLOURS)))),
                        _field("size", range=models.Range(gte=low / 12)),
                    ]
                ),
            )
        ),
        lambda: _field("parts[].kind", match=models.MatchValue(value=str(rng.choice(COLOURS)))),
    )
    return makers[int(rng.integers(0, len(makers)))]()


def _field(key: str, **what: Any) -> models.FieldCondition:  # Any: what FieldCondition takes
    return models.FieldCondition(key=key, **what)


def _triangle(low: float) -> models.GeoPolygon:
    corners = [(-50.0, -150.0), (low, 0.0), (-50.0, 150.0), (-50.0, -150.0)]
    ring = models.GeoLineString(points=[models.GeoPoint(lat=lat, lon=lon) for lat, lon in corners])
    return models.GeoPolygon(exterior=ring)


def shuffled(values: Sequence[Any], seed: int) -> list[Any]:  # Any: any
    """Return values in another order."""
    return random.Random(seed).sample(list(values), len(values))
