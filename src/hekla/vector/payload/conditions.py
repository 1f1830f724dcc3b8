"""Whether a condition holds for one payload: the definition, and what answers where no index does."""

from collections.abc import Callable, Sequence

import numpy as np

from hekla.base.errors import UnsupportedError
from hekla.vector.filters import (
    Condition,
    Filter,
    GeoBox,
    GeoPolygon,
    GeoRadius,
    IsEmpty,
    IsNull,
    Match,
    MatchText,
    Nested,
    Range,
    ValuesCount,
)
from hekla.vector.payload.field_index import as_moment, as_place, as_uuid
from hekla.vector.payload.geo import is_within
from hekla.vector.payload.paths import Json, objects_at, values_at
from hekla.vector.payload.words import words_by
from hekla.vector.schema import FieldSchema

_PLAIN = FieldSchema("text")
Fields = Callable[[str], FieldSchema | None]  # the index at a path, which says how a text splits


def holds(condition: Condition, payload: Json, fields: Fields) -> bool:
    """Return whether a condition on payloads holds. (On ids and vectors, it is asked of the rows.)"""
    if isinstance(condition, Filter):
        return filter_holds(condition, payload, fields)
    if isinstance(condition, Nested):
        return any(filter_holds(condition.filter, each, fields) for each in objects_at(payload, condition.path))
    if isinstance(condition, IsEmpty):
        return all(value is None for value in values_at(payload, condition.path))
    if isinstance(condition, IsNull):
        return any(value is None for value in values_at(payload, condition.path))
    if isinstance(condition, ValuesCount):
        return _is_in(len(values_at(payload, condition.path)), condition)
    if isinstance(condition, MatchText):
        texts = [value for value in values_at(payload, condition.path) if isinstance(value, str)]
        return has_words(condition, texts, fields(condition.path))
    if isinstance(condition, Match | Range | GeoBox | GeoRadius | GeoPolygon):
        field = fields(condition.path)
        return any(_value_holds(condition, value, field) for value in values_at(payload, condition.path))
    raise UnsupportedError(f"{type(condition).__name__} cannot stand inside of a nested filter")


def filter_holds(filter_: Filter, payload: Json, fields: Fields) -> bool:
    """Return whether a filter on payloads holds."""
    if not all(holds(condition, payload, fields) for condition in filter_.must):
        return False
    if any(holds(condition, payload, fields) for condition in filter_.must_not):
        return False
    if not filter_.should:
        return True
    return sum(holds(condition, payload, fields) for condition in filter_.should) >= filter_.min_should


def _value_holds(
    condition: Match | Range | GeoBox | GeoRadius | GeoPolygon, value: Json, field: FieldSchema | None
) -> bool:
    if isinstance(condition, Match):
        return value is not None and is_any_of(value, condition.values, field) != condition.is_except
    if isinstance(condition, Range):
        number = as_moment(value) if condition.is_datetime else value
        return isinstance(number, int | float) and not isinstance(number, bool) and _is_in(number, condition)
    place = as_place(value)
    return place is not None and bool(is_within(condition, np.array(place[:1]), np.array(place[1:]))[0])


def is_any_of(value: Json, wanted: Sequence[str | int | bool], field: FieldSchema | None) -> bool:
    """Return whether a value equals one of these, of the same kind; in a field of UUIDs, however it is spelled."""
    if field is not None and field.kind == "uuid" and (spelled := as_uuid(value)) is not None:
        return any(as_uuid(each) == spelled for each in wanted)
    return any(type(each) is type(value) and each == value for each in wanted)


def has_words(condition: MatchText, texts: Sequence[str], field: FieldSchema | None) -> bool:
    """Return whether texts have the words asked for: together, but a phrase in one of them."""
    split = words_by((field if field is not None and field.kind == "text" else _PLAIN).text)
    each, wanted = [split(text) for text in texts], split(condition.text)
    if condition.mode == "phrase":
        return bool(wanted) and any(
            words[i : i + len(wanted)] == wanted for words in each for i in range(len(words) - len(wanted) + 1)
        )
    found = {word for words in each for word in words}
    return (
        any(word in found for word in wanted) if condition.mode == "any" else bool(wanted) and found.issuperset(wanted)
    )


def _is_in(number: float, bounds: Range | ValuesCount) -> bool:
    return (
        (bounds.gt is None or number > bounds.gt)
        and (bounds.gte is None or number >= bounds.gte)
        and (bounds.lt is None or number < bounds.lt)
        and (bounds.lte is None or number <= bounds.lte)
    )
