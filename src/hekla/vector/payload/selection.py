"""From a filter to a part's rows that it holds for: by the indexes where they can tell, else by reading payloads."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from hekla.vector import bitmap
from hekla.vector.filters import (
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
    Range,
)
from hekla.vector.payload.conditions import holds
from hekla.vector.payload.field_index import FieldIndex, as_uuid
from hekla.vector.payload.geo import is_within, latitudes
from hekla.vector.payload.paths import Json
from hekla.vector.payload.postings import NO_ROWS, Postings
from hekla.vector.rows import Ids, Rows, ids_of
from hekla.vector.schema import FieldSchema

RowNumbers = NDArray[np.int64]


class Selector:
    """Answers filters for one part's rows."""

    def __init__(
        self,
        rows: Rows,
        indexes: Mapping[str, FieldIndex],
        find: Callable[[Ids], RowNumbers],
        fields: Mapping[str, FieldSchema] | None = None,
    ) -> None:
        """fields: the schema's, where rows have no indexes yet: they say how texts split."""
        self._rows, self._indexes, self._find = rows, indexes, find
        self._fields = fields if fields is not None else {path: index.field for path, index in indexes.items()}
        self._n = len(rows)

    def select(self, filter_: Filter) -> bitmap.Words:
        """Return the rows that a filter holds for, deleted ones too."""
        chosen: bitmap.Words | None = None
        scanned: list[Condition] = []
        for condition in filter_.must:
            words = self._indexed(condition)
            if words is None:
                scanned.append(condition)
            else:
                chosen = words if chosen is None else chosen & words
        for condition in filter_.must_not:
            words = self._indexed(condition)
            if words is None:
                scanned.append(Filter(must_not=(condition,)))
            else:
                chosen = self._all() & ~words if chosen is None else chosen & ~words
        if filter_.should:
            each = [self._indexed(condition) for condition in filter_.should]
            if any(words is None for words in each):
                # Scanned together: what an index cannot tell of one is read with the others.
                scanned.append(Filter(should=filter_.should, min_should=filter_.min_should))
            else:
                some = _at_least(filter_.min_should, [words for words in each if words is not None], self._n)
                chosen = some if chosen is None else chosen & some
        result = self._all() if chosen is None else chosen
        return self._scan(Filter(must=tuple(scanned)), result) if scanned else result

    def _all(self) -> bitmap.Words:
        return bitmap.of_mask(np.ones(self._n, np.bool_))

    def _scan(self, filter_: Filter, within: bitmap.Words) -> bitmap.Words:
        """Return those of the rows for whose payloads a filter holds, reading each."""
        kept = [row for row in bitmap.members(within, self._n).tolist() if self._row_holds(filter_, row)]
        return bitmap.of_rows(np.array(kept, np.int64), self._n)

    def _row_holds(self, filter_: Filter, row: int) -> bool:
        payload: Json = orjson.loads(self._rows.payloads.at(row))
        return self._holds(filter_, payload, row)

    def _holds(self, condition: Condition, payload: Json, row: int) -> bool:
        if isinstance(condition, Filter):
            if not all(self._holds(each, payload, row) for each in condition.must):
                return False
            if any(self._holds(each, payload, row) for each in condition.must_not):
                return False
            is_some = sum(self._holds(each, payload, row) for each in condition.should) >= condition.min_should
            return not condition.should or is_some
        if isinstance(condition, HasId | HasVector):
            words = self._indexed(condition)
            return words is not None and bool(bitmap.contains(words, np.array([row]))[0])
        return holds(condition, payload, self._field)

    def _field(self, path: str) -> FieldSchema | None:
        return self._fields.get(path)

    def _indexed(self, condition: Condition) -> bitmap.Words | None:
        """Return the rows a condition holds for, None where no index can tell."""
        if isinstance(condition, Filter):
            return self._told(condition)
        if isinstance(condition, HasId):
            found = self._find(ids_of(condition.ids))
            return bitmap.of_rows(found[found >= 0], self._n)
        if isinstance(condition, HasVector):
            return self._has_vector(condition.name)
        path = getattr(condition, "path", "")
        index = self._indexes.get(path)
        if index is None:
            return None
        if isinstance(condition, IsNull):
            return index.null
        if isinstance(condition, IsEmpty):
            return self._all() & ~index.present
        rows = rows_by_index(index, condition)
        if rows is None:
            return None
        words = bitmap.of_rows(rows, self._n)
        others = index.sections["other"]
        return words | self._scan(Filter(must=(condition,)), others) if others.any() else words

    def _told(self, filter_: Filter) -> bitmap.Words | None:
        """Return the rows a filter holds for, None where no index can tell; each condition is looked up once."""
        chosen = self._all()
        for condition in filter_.must:
            words = self._indexed(condition)
            if words is None:
                return None
            chosen = chosen & words
        for condition in filter_.must_not:
            words = self._indexed(condition)
            if words is None:
                return None
            chosen = chosen & ~words
        each = []
        for condition in filter_.should:
            words = self._indexed(condition)
            if words is None:
                return None
            each.append(words)
        return chosen & _at_least(filter_.min_should, each, self._n) if each else chosen

    def _has_vector(self, name: str) -> bitmap.Words:
        if name in self._rows.sparse:
            offsets = self._rows.sparse[name].offsets
            return bitmap.of_mask(offsets[1:] > offsets[:-1])
        dense = self._rows.dense.get(name)
        if dense is None:
            return bitmap.nothing(self._n)
        return self._all() if dense.is_present is None else bitmap.of_mask(np.asarray(dense.is_present))


def rows_by_index(index: FieldIndex, condition: Condition) -> RowNumbers | None:
    """Return the rows a condition holds for, some maybe twice; None where this kind of index cannot tell."""
    kind = index.field.kind
    if isinstance(condition, Match):
        return None if condition.is_except else _matched(index, condition.values)
    if isinstance(condition, MatchText):
        return _with_words(index, condition) if kind == "text" else None
    if isinstance(condition, Range) and kind in ("integer", "float", "datetime"):
        if condition.is_datetime != (kind == "datetime"):
            return None
        values = index.sections["values"]
        first, last = 0, len(values)
        for bound, side, is_lower in (
            (condition.gt, "right", True),
            (condition.gte, "left", True),
            (condition.lt, "left", False),
            (condition.lte, "right", False),
        ):
            if bound is not None:
                at = int(np.searchsorted(values, bound, "right" if side == "right" else "left"))
                first, last = (max(first, at), last) if is_lower else (first, min(last, at))
        return index.sections["values.row"][first : max(first, last)].astype(np.int64)
    if isinstance(condition, GeoBox | GeoRadius | GeoPolygon) and kind == "geo":
        lats = index.sections["lat"]
        south, north = latitudes(condition)
        span = slice(int(np.searchsorted(lats, south)), int(np.searchsorted(lats, north, "right")))
        inside = is_within(condition, lats[span], index.sections["lon"][span])
        return index.sections["geo.row"][span][inside].astype(np.int64)
    return None


def _matched(index: FieldIndex, values: Sequence[str | int | bool]) -> RowNumbers | None:
    kind = index.field.kind
    if kind in ("keyword", "uuid") and index.postings is not None:
        texts = [value for value in values if isinstance(value, str)]
        if kind == "uuid":
            texts = [spelled for value in texts if (spelled := as_uuid(value)) is not None]
        return index.postings.rows_of(text.encode("utf-8", "surrogatepass") for text in texts)
    if kind not in ("integer", "bool"):
        return None
    wanted = int if kind == "integer" else bool
    stored, rows = index.sections["values"], index.sections["values.row"]
    spans = [
        rows[np.searchsorted(stored, value) : np.searchsorted(stored, value, "right")]
        for value in values
        if type(value) is wanted and -(2**63) <= value < 2**63
    ]
    return np.concatenate(spans).astype(np.int64) if spans else NO_ROWS


def _with_words(index: FieldIndex, condition: MatchText) -> RowNumbers:
    postings, split = index.postings, index.words
    if postings is None or split is None:
        return NO_ROWS
    words = split(condition.text)
    terms = list(dict.fromkeys(word.encode("utf-8", "surrogatepass") for word in words))
    if condition.mode == "any":
        return postings.rows_of(terms)
    each = [postings.rows[postings.span(term)] for term in terms]
    if not each:
        return NO_ROWS
    rows = each[0]
    for more in each[1:]:
        rows = np.intersect1d(rows, more, assume_unique=True)
    if condition.mode == "all" or len(words) == 1:
        return rows.astype(np.int64)
    wanted = [word.encode("utf-8", "surrogatepass") for word in words]
    return np.array([row for row in rows.tolist() if _has_phrase(index, postings, wanted, row)], np.int64)


def _has_phrase(index: FieldIndex, postings: Postings, words: Sequence[bytes], row: int) -> bool:
    starts: set[int] | None = None
    for shift, word in enumerate(words):
        span = postings.span(word)
        at = span.start + int(np.searchsorted(postings.rows[span], row))
        offsets = index.sections["places.offsets"]
        places = {place - shift for place in index.sections["places"][int(offsets[at]) : int(offsets[at + 1])].tolist()}
        starts = places if starts is None else starts & places
    return bool(starts)


def _at_least(wanted: int, each: Sequence[bitmap.Words], rows: int) -> bitmap.Words:
    if wanted == 1:
        some = bitmap.nothing(rows)
        for words in each:
            some = some | words
        return some
    counts = np.zeros(rows, np.int32)
    for words in each:
        counts += bitmap.to_mask(words, rows)
    return bitmap.of_mask(counts >= wanted)
