"""The payload indexes of a part: a segment's lie on disk, those of points in memory grow with every point.

Those in memory begin when they are first asked for; from then on whoever writes keeps them up (`Tail.followers`), and
a reader adds only what a writer has not come to. A collection that nobody filters pays nothing for them.
"""

import sys
from collections.abc import Mapping, Sequence
from threading import Lock
from time import sleep

import numpy as np
import orjson

from hekla.vector import bitmap
from hekla.vector.filters import Filter
from hekla.vector.payload.flat_index import SECTION_NAMES, joined
from hekla.vector.payload.growing_field import GrowingField, IndexAsOf, build_field
from hekla.vector.payload.paths import values_at
from hekla.vector.payload.payload_index import PayloadIndex
from hekla.vector.payload.selection import Selector
from hekla.vector.payload.stored_index import FieldIndex
from hekla.vector.rows import AnyArray, Ids, Rows
from hekla.vector.schema import CollectionSchema, FieldSchema
from hekla.vector.segment import Segment
from hekla.vector.version import Part, Tail

_PREFIX = "field."
_FEW, _PAUSE_S = 8, 50e-6  # rows between two pauses: 0.1 ms of work, and time enough to wake up in
_AT_ONCE = 256  # rows that a column grows by


def field_sections(
    old: Sequence[Part], kept: Sequence[AnyArray], fields: Mapping[str, FieldSchema]
) -> dict[str, AnyArray]:
    """Return the sections of every payload index over these rows of some parts, rising for each. At least one part."""
    sections: dict[str, AnyArray] = {}
    indexes = [
        _segment_indexes(part.source, fields)
        if isinstance(part.source, Segment)
        else growing_fields(part.source, fields).as_of(part.rows, is_aside=True)
        for part in old
    ]
    for path in fields:
        flat = [
            index.flat(len(part.rows)) if isinstance(index, FieldIndex) else index.flat()
            for part, each in zip(old, indexes, strict=True)
            for index in [each[path]]
        ]
        sections |= _named(path, fields[path], joined(flat, kept))
    return sections


def _named(path: str, field: FieldSchema, sections: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """Return the sections of one index under the names they have in a segment."""
    return {f"{_PREFIX}{path}.{name}": array for name, array in [*sections.items(), ("about", _about(field))]}


def _about(field: FieldSchema) -> AnyArray:
    """Return what an index is of, as it is stored: a path may be indexed anew as something else."""
    about = {"kind": field.kind, "language": field.text.language, "is_lowercase": field.text.is_lowercase}
    return np.frombuffer(orjson.dumps(about), np.uint8)


def _is_of(sections: Mapping[str, AnyArray], field: FieldSchema) -> bool:
    """Return whether a segment's sections are the index of this field."""
    return "present" in sections and ("about" not in sections or sections["about"].tobytes() == _about(field).tobytes())


def _built(rows: Rows, fields: Mapping[str, FieldSchema]) -> dict[str, AnyArray]:
    """Return the sections of payload indexes, reading every payload."""
    if not fields:
        return {}
    payloads = [orjson.loads(rows.payloads.at(row)) for row in range(len(rows))]
    sections: dict[str, AnyArray] = {}
    for path, field in fields.items():
        sections |= _named(path, field, build_field(payloads, path, field))
    return sections


class GrowingFields:
    """All payload indexes of points in memory. Any thread."""

    def __init__(self, fields: Mapping[str, FieldSchema]) -> None:
        self.fields = fields
        self._growing = {path: GrowingField(field) for path, field in fields.items()}
        self._rows = 0
        self._adding = Lock()

    def __len__(self) -> int:
        """How many rows are in the indexes."""
        return self._rows

    def take(self, new: Rows, first: int) -> bool:
        """Add rows, the first of which has this number; False, and nothing, where some before lack."""
        with self._adding:
            if self._rows == first:
                self._add(new, 0)
            return self._rows >= first + len(new)

    def follow(self, rows: Rows) -> None:
        """Add the rows that are not yet in the indexes, of all there are."""
        if self._rows < len(rows):
            with self._adding:
                self._add(rows, self._rows)

    def follow_aside(self, rows: Rows) -> None:
        """As `follow`, leaving the interpreter to others every few rows: they would wait 5 ms for it each time."""
        while self._rows < len(rows):
            with self._adding:
                self._add(rows, self._rows, _FEW)
            sleep(_PAUSE_S)

    def _add(self, rows: Rows, first: int, most: int = sys.maxsize) -> None:
        for start in range(first, min(len(rows), first + most), _AT_ONCE):
            last = min(len(rows), first + most, start + _AT_ONCE)
            payloads = [orjson.loads(rows.payloads.at(row)) for row in range(start, last)]
            for path, growing in self._growing.items():
                growing.add_rows(self._rows, [values_at(payload, path) if payload else [] for payload in payloads])
            self._rows += last - start

    def as_of(self, rows: Rows, *, is_aside: bool = False) -> Mapping[str, IndexAsOf]:
        """Return the indexes over these rows, the first there are. is_aside: nobody waits for them."""
        (self.follow_aside if is_aside else self.follow)(rows)
        return {path: IndexAsOf(growing, len(rows)) for path, growing in self._growing.items()}


def indexes_of(part: Part, schema: CollectionSchema) -> Mapping[str, PayloadIndex]:
    """Return the payload indexes over a part's rows, by path."""
    if isinstance(part.source, Segment):
        return _segment_indexes(part.source, schema.fields)
    return growing_fields(part.source, schema.fields).as_of(part.rows)


def growing_fields(tail: Tail, fields: Mapping[str, FieldSchema]) -> GrowingFields:
    """Return the payload indexes of points in memory, which may know fewer rows than there are."""
    found = tail.followers.get("fields")
    if isinstance(found, GrowingFields) and found.fields is fields:
        return found
    with tail.lock:
        found = tail.followers.get("fields")
        if not isinstance(found, GrowingFields) or found.fields is not fields:
            found = tail.followers["fields"] = GrowingFields(fields)
        return found


def select(part: Part, filter_: Filter, schema: CollectionSchema) -> bitmap.Words:
    """Return the live rows of a part that a filter holds for."""
    words = _selector(part, schema).select(filter_)
    return words if part.live == len(part.rows) else words & ~part.deleted


def _selector(part: Part, schema: CollectionSchema) -> Selector:
    if not isinstance(part.source, Segment):
        return Selector(part.rows, indexes_of(part, schema), _finder(part), schema.fields)
    known: tuple[object, Selector] | None = part.source.derived.get("selector")
    if known is None or known[0] is not schema.fields:
        made = Selector(part.rows, _segment_indexes(part.source, schema.fields), _present(part.source), schema.fields)
        known = part.source.derived["selector"] = (schema.fields, made)
    return known[1]


class _finder:  # a function that knows its part
    def __init__(self, part: Part) -> None:
        self._part = part

    def __call__(self, ids: Ids) -> AnyArray:
        return self._part.find(ids)


class _present:  # a function that knows its segment; who asks takes deleted rows away
    def __init__(self, segment: Segment) -> None:
        self._segment = segment

    def __call__(self, ids: Ids) -> AnyArray:
        return self._segment.find(ids)


def _segment_indexes(segment: Segment, fields: Mapping[str, FieldSchema]) -> Mapping[str, FieldIndex]:
    cached: tuple[object, Mapping[str, FieldIndex]] | None = segment.derived.get("fields")
    if cached is None or cached[0] is not fields:
        sections = {path: _of_field(segment.sections, path) for path in fields}
        # A segment older than an index lacks its sections until it is built anew: till then they are in memory.
        older = {path: field for path, field in fields.items() if not _is_of(sections[path], field)}
        built = _built(segment.rows, older)
        sections |= {path: _of_field(built, path) for path in older}
        indexes = {path: FieldIndex(field, sections[path]) for path, field in fields.items()}
        cached = segment.derived["fields"] = (fields, indexes)
    return cached[1]


def _of_field(sections: Mapping[str, AnyArray], path: str) -> dict[str, AnyArray]:
    """Return the sections of one index, by their names in it. A path may begin another: "a" and "a.b"."""
    prefix = f"{_PREFIX}{path}."
    names = {name.removeprefix(prefix): name for name in sections if name.startswith(prefix)}
    return {short: sections[name] for short, name in names.items() if short in SECTION_NAMES}
