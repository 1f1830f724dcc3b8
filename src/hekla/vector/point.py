"""Points: an id, named vectors, a payload."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import quoted
from hekla.vector.errors import PointError

PointId = int | uuid.UUID
Payload = Mapping[str, Any]  # Any: JSON
MAX_ID = 2**64 - 1


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Values at a few of 2^32 dimensions."""

    indices: NDArray[np.uint32]  # (m,) strictly rising
    values: NDArray[np.float32]  # (m,)


Vector = NDArray[Any] | Sequence[float] | Sequence[Sequence[float]] | SparseVector  # Any: the collection says its dtype


@dataclass(frozen=True, slots=True)
class Point:
    """What is stored. A collection with one unnamed vector knows it as ""."""

    id: PointId
    vectors: Mapping[str, Vector] = field(default_factory=dict)
    payload: Payload = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """What is read back: vectors and payload are None where they were not asked for."""

    id: PointId
    payload: Payload | None = None
    vectors: Mapping[str, Vector] | None = None


@dataclass(frozen=True, slots=True)
class ScoredPoint:
    """A point found. `score` is the similarity (cosine, dot) or the distance (L2, Manhattan)."""

    id: PointId
    score: float
    payload: Payload | None = None
    vectors: Mapping[str, Vector] | None = None


def scored_points(ids: Sequence[PointId], scores: Sequence[float]) -> list[ScoredPoint]:
    """Return points found, without payload and vectors: half the time of as many calls of the class."""
    points = list(map(_new_object, repeat(ScoredPoint, len(ids))))
    for point, id_, score in zip(points, ids, scores, strict=True):
        _set_id(point, id_)
        _set_score(point, score)
        _set_payload(point, None)
        _set_vectors(point, None)
    return points


# The members themselves: what the class's own __init__ reaches by way of object.__setattr__, as it is frozen.
_new_object = object.__new__
_set_id, _set_score, _set_payload, _set_vectors = (
    getattr(ScoredPoint, name).__set__ for name in ("id", "score", "payload", "vectors")
)


def read_id(value: object, where: str) -> PointId:
    """Return the id a caller wrote: a whole number below 2^64, a UUID or its text.

    Errors: PointError naming the place.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        if not 0 <= value <= MAX_ID:
            raise PointError(f"an id is a number from 0 to 2^64 - 1 or a UUID, got {quoted(value)}", where=where)
        return int(value)
    if isinstance(value, uuid.UUID):
        return value
    if isinstance(value, str):
        try:
            return uuid.UUID(value)
        except ValueError:
            pass
    raise PointError(f"an id is a number from 0 to 2^64 - 1 or a UUID, got {quoted(value)}", where=where)
