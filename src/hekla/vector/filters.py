"""Filters: trees of conditions on ids, payloads and vectors.

A condition on a path holds if one of the values there does: `tags` of `{"tags": ["a", "b"]}` has two values. Paths are
dotted, and `[]` steps into a list: `authors[].name`.
"""

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from hekla.base.errors import quoted
from hekla.vector.errors import PointError
from hekla.vector.point import MAX_ID, PointId

MAX_DEPTH, MAX_CONDITIONS = 64, 10_000
Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Match:
    """One of the values at the path is one of these; for `is_except`, one of them is none of these."""

    path: str
    values: tuple[str | int | bool, ...]
    is_except: bool = False


@dataclass(frozen=True, slots=True)
class MatchText:
    """The words of the text at the path have these: all of them, any of them, or side by side in order.

    A text without words matches nothing.
    """

    path: str
    text: str
    mode: Literal["all", "any", "phrase"] = "all"


@dataclass(frozen=True, slots=True)
class Range:
    """A number at the path lies within; for datetimes, microseconds since 1970 (`moment`)."""

    path: str
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None
    is_datetime: bool = False


@dataclass(frozen=True, slots=True)
class GeoBox:
    """A place `{"lat": ..., "lon": ...}` at the path lies in a box, which may cross longitude 180."""

    path: str
    top: float
    left: float
    bottom: float
    right: float


@dataclass(frozen=True, slots=True)
class GeoRadius:
    """A place at the path lies within so many metres of a centre, on a sphere of 6,371 km."""

    path: str
    lat: float
    lon: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class GeoPolygon:
    """A place at the path lies inside of a ring and outside of the holes in it. Rings: ((lat, lon), ...)."""

    path: str
    exterior: tuple[tuple[float, float], ...]
    interiors: tuple[tuple[tuple[float, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class ValuesCount:
    """So many values are at the path."""

    path: str
    gt: int | None = None
    gte: int | None = None
    lt: int | None = None
    lte: int | None = None


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """Nothing, null or an empty list is at the path."""

    path: str


@dataclass(frozen=True, slots=True)
class IsNull:
    """Null is at the path."""

    path: str


@dataclass(frozen=True, slots=True)
class HasId:
    """The point has one of these ids."""

    ids: tuple[PointId, ...]


@dataclass(frozen=True, slots=True)
class HasVector:
    """The point has the vector of this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Nested:
    """One object of the list at the path satisfies the whole filter by itself."""

    path: str
    filter: "Filter"


@dataclass(frozen=True, slots=True)
class Filter:
    """All of `must`, none of `must_not`, and of `should`, where there is any, at least `min_should`."""

    must: tuple["Condition", ...] = ()
    should: tuple["Condition", ...] = ()
    must_not: tuple["Condition", ...] = ()
    min_should: int = 1


Condition = (
    Match
    | MatchText
    | Range
    | GeoBox
    | GeoRadius
    | GeoPolygon
    | ValuesCount
    | IsEmpty
    | IsNull
    | HasId
    | HasVector
    | Nested
    | Filter
)


@dataclass(slots=True)
class _Count:
    conditions: int = 0


def check_filter(filter_: Filter, where: str = "$.filter") -> None:
    """Refuse a filter that is too deep or too large. Errors: PointError."""
    _check(filter_, where, 1, _Count())


def _check(filter_: Filter, where: str, depth: int, count: _Count) -> None:
    if depth > MAX_DEPTH:
        raise PointError(f"is over {MAX_DEPTH} deep", where=where)
    for clause in ("must", "should", "must_not"):
        conditions: Sequence[Condition] = getattr(filter_, clause)
        count.conditions += len(conditions)
        if count.conditions > MAX_CONDITIONS:
            raise PointError(f"has over {MAX_CONDITIONS} conditions", where=where)
        for i, condition in enumerate(conditions):
            inner = condition.filter if isinstance(condition, Nested) else condition
            if isinstance(inner, Filter):
                _check(inner, f"{where}.{clause}[{i}]", depth + 1, count)
            elif isinstance(inner, Range):
                _check_bounds(inner, f"{where}.{clause}[{i}]")
            elif isinstance(inner, HasId):
                _check_ids(inner, f"{where}.{clause}[{i}]")


def _check_bounds(range_: Range, where: str) -> None:
    for name in ("gt", "gte", "lt", "lte"):
        bound: object = getattr(range_, name)
        if bound is not None and (not isinstance(bound, int | float) or math.isnan(bound)):
            raise PointError(f"expected a number, got {quoted(bound)}", where=f"{where}.{name}")


def _check_ids(has_id: HasId, where: str) -> None:
    for value in has_id.ids:
        if type(value) is not uuid.UUID and (type(value) is not int or not 0 <= value <= MAX_ID):
            cure = "ids are numbers from 0 to 2^64 - 1 and `uuid.UUID`"
            raise PointError(f"{quoted(value)} is no id", where=where, cure=cure)


def moment(value: object, where: str) -> int:
    """Return a datetime (RFC 3339 text, or a `datetime`) as microseconds since 1970. Errors: PointError."""
    found = value
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = None
    if isinstance(found, date) and not isinstance(found, datetime):
        found = datetime(found.year, found.month, found.day, tzinfo=UTC)
    if not isinstance(found, datetime):
        raise PointError(f"expected a date and time (RFC 3339), got {quoted(value)}", where=where)
    whole = found if found.tzinfo else found.replace(tzinfo=UTC)
    since = whole - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
