"""Filters as `qdrant-client` writes them, to filters of ours and back."""

import re

from hekla.base.errors import UnsupportedError, quoted
from hekla.vector.doors.json_fields import Fields, Json
from hekla.vector.errors import PointError
from hekla.vector.filters import (
    MAX_DEPTH,
    Condition,
    Filter,
    GeoBox,
    GeoPolygon,
    GeoRadius,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    Match,
    MatchText,
    Nested,
    Range,
    ValuesCount,
    moment,
)
from hekla.vector.point import read_id

_KINDS = ("match", "range", "geo_bounding_box", "geo_radius", "geo_polygon", "values_count", "is_empty", "is_null")
_BOUNDS = ("gt", "gte", "lt", "lte")
_ODD_PATH = re.compile(r'\[[^\]]+\]|"')


def read_filter(document: Json, where: str = "$.filter", depth: int = 1) -> Filter | None:
    """Return a filter, None for null. Errors: PointError, InputError, UnsupportedError naming the place."""
    if document is None:
        return None
    if depth > MAX_DEPTH:
        raise PointError(f"is over {MAX_DEPTH} deep", where=where)
    fields = Fields(document, where)
    must = _conditions(fields, "must", depth)
    least = fields.inner("min_should")
    if least is not None:
        least.need("conditions")
        count = least.whole("min_count", 1)
        must = (*must, Filter(should=_conditions(least, "conditions", depth), min_should=count))
        least.end()
    found = Filter(must, _conditions(fields, "should", depth), _conditions(fields, "must_not", depth))
    fields.end()
    return found


def _conditions(fields: Fields, name: str, depth: int) -> tuple[Condition, ...]:
    value = fields.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        return (read_condition(value, fields.place(name), depth),)
    return tuple(read_condition(each, f"{fields.place(name)}[{i}]", depth) for i, each in enumerate(value))


def read_condition(document: Json, where: str, depth: int = 1) -> Condition:
    """Return one condition. Errors: as `read_filter`."""
    fields = Fields(document, where)
    found: Condition
    if fields.get("key") is not None:
        found = _on_field(fields)
    elif fields.get("has_id") is not None:
        ids = fields.items("has_id") or []
        found = HasId(tuple(read_id(value, f"{where}.has_id[{i}]") for i, value in enumerate(ids)))
    elif fields.get("has_vector") is not None:
        found = HasVector(fields.need_text("has_vector"))
    elif (inner := fields.inner("is_empty")) is not None:
        found = IsEmpty(path_of(inner, "key"))
        inner.end()
    elif (inner := fields.inner("is_null")) is not None:
        found = IsNull(path_of(inner, "key"))
        inner.end()
    elif (inner := fields.inner("nested")) is not None:
        filter_ = read_filter(inner.need("filter"), inner.place("filter"), depth + 1)
        assert filter_ is not None, "it is there"
        found = Nested(path_of(inner, "key"), filter_)
        inner.end()
    elif fields.get("slice") is not None:
        raise UnsupportedError("is not supported here", where=f"{where}.slice")
    else:
        whole = read_filter(document, where, depth + 1)
        assert whole is not None, "it is an object"
        return whole
    fields.end()
    return found


def path_of(fields: Fields, name: str) -> str:
    """Return a path in payloads: dotted, `[]` into lists. Errors: UnsupportedError for an index or quotes in it."""
    path = fields.need_text(name)
    if _ODD_PATH.search(path):
        cure = "write names with dots, and [] for all elements of a list"
        raise UnsupportedError(f"{quoted(path)} has an index or quotes", where=fields.place(name), cure=cure)
    return path


def _on_field(fields: Fields) -> Condition:
    path = path_of(fields, "key")
    kinds = [kind for kind in _KINDS if fields.get(kind) is not None]
    if len(kinds) != 1:
        fields.end()
        raise PointError(f"expected one of {', '.join(_KINDS)}, got {len(kinds)}", where=fields.where)
    kind = kinds[0]
    if kind in ("is_empty", "is_null"):
        condition: Condition = IsEmpty(path) if kind == "is_empty" else IsNull(path)
        return condition if fields.flag(kind) else Filter(must_not=(condition,))
    inner = fields.inner(kind)
    assert inner is not None, "it is there"
    if kind == "match":
        found = _match(path, inner)
    elif kind == "range":
        found = _range(path, inner)
    elif kind == "values_count":
        found = ValuesCount(path, **{bound: inner.whole(bound, 0) for bound in _BOUNDS if inner.get(bound) is not None})
    else:
        found = _geo(path, kind, inner)
    inner.end()
    return found


def _match(path: str, match: Fields) -> Condition:
    match.refuse("prefix", "substring")
    text = match.text("text")
    if text is not None:
        return MatchText(path, text)
    any_of = match.text("text_any")
    if any_of is not None:
        return MatchText(path, any_of, "any")
    phrase = match.text("phrase")
    if phrase is not None:
        return MatchText(path, phrase, "phrase")
    for name in ("any", "except"):
        values = match.items(name)
        if values is not None:
            each = tuple(_scalar(value, f"{match.place(name)}[{i}]") for i, value in enumerate(values))
            return Match(path, each, is_except=name == "except")
    return Match(path, (_scalar(match.need("value"), match.place("value")),))


def _scalar(value: Json, where: str) -> str | int | bool:
    if not isinstance(value, str | int):
        raise PointError(f"expected a text, a whole number, true or false, got {quoted(value)}", where=where)
    return value


def _range(path: str, bounds: Fields) -> Range:
    if any(isinstance(bounds.get(name), str) for name in _BOUNDS):
        times = {name: moment(bounds.get(name), bounds.place(name)) for name in _BOUNDS if bounds.get(name) is not None}
        return Range(path, **times, is_datetime=True)
    gt, gte, lt, lte = (bounds.number(name) for name in _BOUNDS)
    return Range(path, gt, gte, lt, lte)


def _geo(path: str, kind: str, inner: Fields) -> Condition:
    if kind == "geo_bounding_box":
        top, left = _place(inner.need("top_left"), inner.place("top_left"))
        bottom, right = _place(inner.need("bottom_right"), inner.place("bottom_right"))
        return GeoBox(path, top, left, bottom, right)
    if kind == "geo_radius":
        lat, lon = _place(inner.need("center"), inner.place("center"))
        inner.need("radius")
        return GeoRadius(path, lat, lon, inner.number("radius") or 0.0)
    rings = inner.items("interiors") or []
    interiors = tuple(_ring(ring, f"{inner.place('interiors')}[{i}]") for i, ring in enumerate(rings))
    return GeoPolygon(path, _ring(inner.need("exterior"), inner.place("exterior")), interiors)


def _ring(document: Json, where: str) -> tuple[tuple[float, float], ...]:
    fields = Fields(document, where)
    fields.need("points")
    points = tuple(_place(each, f"{where}.points[{i}]") for i, each in enumerate(fields.items("points") or []))
    if len(points) < 4 or points[0] != points[-1]:
        raise PointError("a ring has at least 4 points, the last of them the first again", where=f"{where}.points")
    fields.end()
    return points


def _place(document: Json, where: str) -> tuple[float, float]:
    fields = Fields(document, where)
    fields.need("lat")
    fields.need("lon")
    found = fields.number("lat") or 0.0, fields.number("lon") or 0.0
    fields.end()
    return found


def filter_json(filter_: Filter) -> Json:
    """Return the JSON form of a filter, which `read_filter` reads."""
    clauses: dict[str, Json] = {}
    if filter_.must:
        clauses["must"] = [condition_json(each) for each in filter_.must]
    if filter_.must_not:
        clauses["must_not"] = [condition_json(each) for each in filter_.must_not]
    if filter_.should:
        should = [condition_json(each) for each in filter_.should]
        least = {"min_should": {"conditions": should, "min_count": filter_.min_should}}
        clauses |= {"should": should} if filter_.min_should == 1 else least
    return clauses


def condition_json(condition: Condition) -> Json:
    """Return the JSON form of a condition, which `read_condition` reads."""
    if isinstance(condition, Filter):
        return filter_json(condition)
    if isinstance(condition, Nested):
        return {"nested": {"key": condition.path, "filter": filter_json(condition.filter)}}
    if isinstance(condition, HasId):
        return {"has_id": [value if isinstance(value, int) else str(value) for value in condition.ids]}
    if isinstance(condition, HasVector):
        return {"has_vector": condition.name}
    if isinstance(condition, IsEmpty):
        return {"is_empty": {"key": condition.path}}
    if isinstance(condition, IsNull):
        return {"is_null": {"key": condition.path}}
    return {"key": condition.path, **_on_field_json(condition)}


def _on_field_json(
    condition: Match | MatchText | Range | GeoBox | GeoRadius | GeoPolygon | ValuesCount,
) -> dict[str, Json]:
    if isinstance(condition, Match):
        return {"match": {"except" if condition.is_except else "any": list(condition.values)}}
    if isinstance(condition, MatchText):
        name = {"all": "text", "any": "text_any", "phrase": "phrase"}[condition.mode]
        return {"match": {name: condition.text}}
    if isinstance(condition, Range):
        bounds = {name: getattr(condition, name) for name in _BOUNDS if getattr(condition, name) is not None}
        if condition.is_datetime:
            bounds = {name: moment_text(value) for name, value in bounds.items()}
        return {"range": bounds}
    if isinstance(condition, ValuesCount):
        return {"values_count": {name: getattr(condition, name) for name in _BOUNDS}}
    if isinstance(condition, GeoBox):
        corners = {
            "top_left": {"lat": condition.top, "lon": condition.left},
            "bottom_right": {"lat": condition.bottom, "lon": condition.right},
        }
        return {"geo_bounding_box": corners}
    if isinstance(condition, GeoRadius):
        return {"geo_radius": {"center": {"lat": condition.lat, "lon": condition.lon}, "radius": condition.radius_m}}
    interiors = [_ring_json(ring) for ring in condition.interiors]
    return {"geo_polygon": {"exterior": _ring_json(condition.exterior), "interiors": interiors}}


def _ring_json(ring: tuple[tuple[float, float], ...]) -> Json:
    return {"points": [{"lat": lat, "lon": lon} for lat, lon in ring]}


def moment_text(microseconds: float) -> str:
    """Return microseconds since 1970 as RFC 3339 text."""
    from datetime import UTC, datetime, timedelta

    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(microseconds))).isoformat()
