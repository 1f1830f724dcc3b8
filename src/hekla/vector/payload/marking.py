"""From a condition to the rows that an index knows it holds for."""

from collections.abc import Sequence

import numpy as np

from hekla.kernels.row_marks import mark_rows
from hekla.vector import bitmap
from hekla.vector.filters import Condition, GeoBox, GeoPolygon, GeoRadius, Match, MatchText, Range
from hekla.vector.payload.bounds import float_bounds, whole_bounds
from hekla.vector.payload.field_index import as_uuid
from hekla.vector.payload.geo import is_within, latitudes
from hekla.vector.payload.payload_index import PayloadIndex
from hekla.vector.payload.stored_index import check_rows
from hekla.vector.payload.words import words_by


def mark(index: PayloadIndex, condition: Condition, words: bitmap.Words) -> bool:
    """Mark the rows that a condition holds for; False, and nothing is marked, where this kind cannot tell."""
    kind = index.field.kind
    if isinstance(condition, Range):
        return _mark_range(index, condition, words)
    if isinstance(condition, Match):
        return not condition.is_except and _mark_matching(index, condition.values, words)
    if isinstance(condition, MatchText):
        if kind == "text":
            _mark_text(index, condition, words)
        return kind == "text"
    if isinstance(condition, GeoBox | GeoRadius | GeoPolygon) and kind == "geo":
        lat, lon, rows = index.between(*latitudes(condition))
        check_rows(mark_rows(rows[is_within(condition, lat, lon)], words))
        return True
    return False


def _mark_range(index: PayloadIndex, condition: Range, words: bitmap.Words) -> bool:
    kind = index.field.kind
    if condition.is_datetime != (kind == "datetime") or kind not in ("integer", "float", "datetime"):
        return False
    bounds = float_bounds(condition) if kind == "float" else whole_bounds(condition)
    if bounds is not None:
        index.mark_values(bounds[0], bounds[1], words)
    return True


def _mark_matching(index: PayloadIndex, values: Sequence[str | int | bool], words: bitmap.Words) -> bool:
    kind = index.field.kind
    if kind == "keyword":
        index.mark_terms([value for value in values if isinstance(value, str)], words)
    elif kind == "uuid":
        index.mark_terms([spelled for value in values if (spelled := as_uuid(value)) is not None], words)
    elif kind in ("integer", "bool"):
        wanted = int if kind == "integer" else bool
        index.mark_each([int(v) for v in values if type(v) is wanted and -(2**63) <= v < 2**63], words)
    else:
        return False
    return True


def _mark_text(index: PayloadIndex, condition: MatchText, words: bitmap.Words) -> None:
    asked = words_by(index.field.text)(condition.text)
    terms = list(dict.fromkeys(asked))
    if condition.mode == "any" or len(terms) == 1 == len(asked):
        index.mark_terms(terms, words)
        return
    if not terms:
        return
    rows = len(words) * 64
    found = bitmap.nothing(rows)
    index.mark_terms(terms[:1], found)
    for term in terms[1:]:
        one = bitmap.nothing(rows)
        index.mark_terms([term], one)
        found &= one
    if condition.mode == "phrase":
        kept = [row for row in bitmap.members(found, rows).tolist() if _has_phrase(index, asked, row)]
        mark_rows(np.array(kept, np.uint32), words)
    else:
        words |= found


def _has_phrase(index: PayloadIndex, asked: Sequence[str], row: int) -> bool:
    starts: set[int] | None = None
    for shift, word in enumerate(asked):
        places = {place - shift for place in index.places_of(word, row)}
        starts = places if starts is None else starts & places
    return bool(starts)
