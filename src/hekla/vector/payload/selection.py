"""From a filter to a part's rows that it holds for: by the indexes where they can tell, else by reading payloads."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from hekla.vector import bitmap
from hekla.vector.filters import (
    Condition,
    Filter,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
)
from hekla.vector.payload.conditions import holds
from hekla.vector.payload.marking import mark
from hekla.vector.payload.paths import Json
from hekla.vector.payload.payload_index import PayloadIndex
from hekla.vector.rows import Ids, Rows, ids_of
from hekla.vector.schema import FieldSchema

RowNumbers = NDArray[np.int64]


class Selector:
    """Answers filters for one part's rows."""

    def __init__(
        self,
        rows: Rows,
        indexes: Mapping[str, PayloadIndex],
        find: Callable[[Ids], RowNumbers],
        fields: Mapping[str, FieldSchema] | None = None,
    ) -> None:
        """fields: the schema's, where rows have no indexes yet: they say how texts split."""
        self._rows, self._indexes, self._find = rows, indexes, find
        self._fields = fields if fields is not None else {path: index.field for path, index in indexes.items()}
        self._n = len(rows)

    def select(self, filter_: Filter) -> bitmap.Words:
        """Return the rows that a filter holds for, deleted ones too."""
        if len(filter_.must) == 1 and not (filter_.should or filter_.must_not):
            words = self._indexed(filter_.must[0])  # most filters
            return self._scan(filter_, self._all()) if words is None else words
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
        return bitmap.everything(self._n)

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
        index = self._indexes.get(condition.path)
        if index is None:
            return None
        if isinstance(condition, IsNull):
            return index.null
        if isinstance(condition, IsEmpty):
            return self._all() & ~index.present
        words = bitmap.nothing(self._n)
        if not mark(index, condition, words):
            return None
        others = index.other
        return words if others is None else words | self._scan(Filter(must=(condition,)), others)

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
