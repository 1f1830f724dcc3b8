"""One payload index as it is stored: built from the payloads of some rows, as sections (`stored_index.py` reads it).

Sections of every kind, words of bitmaps: `present`, rows with a value; `null`, rows with a null; `other`, rows with a
value that is not of the index's kind, so that only their payloads tell. By kind:

    keyword, uuid, text   terms (`postings.py`)
    integer, datetime     `values` (m,) i64 rising and `values.row` (m,) u32 beside; a datetime is microseconds
    bool                  as integer, 0 and 1
    float                 `values` (m,) f64 rising and `values.row` (m,) u32 beside; integers of a payload count too
    geo                   `lat` (m,) f64 rising, `lon` (m,) f64 and `geo.row` (m,) u32 beside
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hekla.vector import bitmap
from hekla.vector.errors import PointError
from hekla.vector.filters import moment
from hekla.vector.payload.paths import Json, values_at
from hekla.vector.payload.postings import ends_of, postings_of
from hekla.vector.payload.words import words_by
from hekla.vector.rows import AnyArray
from hekla.vector.schema import FieldSchema

Sections = dict[str, AnyArray]
SECTION_NAMES = frozenset(
    {"present", "null", "other", "terms.offsets", "terms.text", "rows.offsets", "rows", "counts", "lengths"}
    | {"places.offsets", "places", "values", "values.row", "lat", "lon", "geo.row"}
)


def build_field(payloads: Sequence[Json], path: str, field: FieldSchema) -> Sections:
    """Return the sections of one index over the payloads of n rows."""
    values = [values_at(payload, path) if payload else [] for payload in payloads]
    present = np.array([any(value is not None for value in row) for row in values], np.bool_)
    null = np.array([any(value is None for value in row) for row in values], np.bool_)
    read = READERS[field.kind]
    other = np.array([any(value is not None and read(value) is None for value in row) for row in values], np.bool_)
    return {
        "present": bitmap.of_mask(present),
        "null": bitmap.of_mask(null),
        "other": bitmap.of_mask(other),
        **_BUILDERS[field.kind](values, field),
    }


def as_moment(value: Json) -> int | None:
    """Return a payload's datetime as microseconds since 1970, None for what is none."""
    if not isinstance(value, str):
        return None
    try:
        return moment(value, "")
    except PointError:
        return None


def as_uuid(value: Json) -> str | None:
    """Return a payload's UUID in its one spelling, None for what is none."""
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def as_place(value: Json) -> tuple[float, float] | None:
    """Return a payload's place as (latitude, longitude) in degrees, None for what is none."""
    if not isinstance(value, dict):
        return None
    lat, lon = value.get("lat"), value.get("lon")
    if not isinstance(lat, int | float) or not isinstance(lon, int | float):
        return None
    return (float(lat), float(lon)) if -90 <= lat <= 90 and -180 <= lon <= 180 else None


def _keyword(values: Sequence[Sequence[Json]], field: FieldSchema) -> Sections:
    rows: dict[str, list[int]] = defaultdict(list)
    read = READERS[field.kind]
    for row, found in enumerate(values):
        for term in {term for value in found if (term := read(value)) is not None}:
            rows[term].append(row)
    return postings_of(rows)


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _words(values: Sequence[Sequence[Json]], field: FieldSchema) -> Sections:
    split = words_by(field.text)
    rows: dict[str, list[int]] = defaultdict(list)
    counts: dict[str, list[int]] = defaultdict(list)
    places: dict[str, list[list[int]]] = defaultdict(list)
    lengths = np.zeros(len(values), np.uint32)
    for row, found in enumerate(values):
        stands: dict[str, list[int]] = defaultdict(list)
        place = 0
        for value in found:
            words = split(value) if isinstance(value, str) else []
            for word in words:
                stands[word].append(place)
                place += 1
            lengths[row] += len(words)
            place += 1  # a gap, which no phrase reaches over
        for word, stood in stands.items():
            rows[word].append(row)
            counts[word].append(min(len(stood), 65535))
            places[word].append(stood)
    in_order = sorted(rows, key=lambda word: word.encode("utf-8", "surrogatepass"))
    flat = [stand for word in in_order for stand in places[word]]
    return {
        **postings_of(rows),
        "counts": np.array([count for word in in_order for count in counts[word]], np.uint16),
        "lengths": lengths,
        "places.offsets": ends_of([len(stand) for stand in flat]),
        "places": np.array([place for stand in flat for place in stand], np.uint32),
    }


def _numbers(dtype: type[np.generic]) -> "Builder":
    def build(values: Sequence[Sequence[Json]], field: FieldSchema) -> Sections:
        read = READERS[field.kind]
        pairs = [(n, row) for row, found in enumerate(values) for value in found if (n := read(value)) is not None]
        numbers = np.array([number for number, _ in pairs], dtype)
        rows = np.array([row for _, row in pairs], np.uint32)
        order = np.argsort(numbers, kind="stable")
        return {"values": numbers[order], "values.row": rows[order]}

    return build


def _integer(value: Json) -> int | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and -(2**63) <= value < 2**63 else None


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _bool(value: Json) -> int | None:
    return int(value) if isinstance(value, bool) else None


def _geo(values: Sequence[Sequence[Json]], field: FieldSchema) -> Sections:
    found = [(place, row) for row, each in enumerate(values) for value in each if (place := as_place(value))]
    lat = np.array([place[0] for place, _ in found], np.float64)
    order = np.argsort(lat, kind="stable")
    return {
        "lat": lat[order],
        "lon": np.array([place[1] for place, _ in found], np.float64)[order],
        "geo.row": np.array([row for _, row in found], np.uint32)[order],
    }


Builder = Callable[[Sequence[Sequence[Json]], FieldSchema], Sections]
_BUILDERS: Mapping[str, Builder] = {
    "keyword": _keyword,
    "uuid": _keyword,
    "text": _words,
    "integer": _numbers(np.int64),
    "datetime": _numbers(np.int64),
    "bool": _numbers(np.int64),
    "float": _numbers(np.float64),
    "geo": _geo,
}
# What a value is to each kind of index, None for a value it cannot hold.
READERS: Mapping[str, Callable[[Json], Any]] = {  # Any: a text, a number, a place
    "keyword": _text,
    "uuid": as_uuid,
    "text": _text,
    "integer": _integer,
    "datetime": as_moment,
    "bool": _bool,
    "float": _number,
    "geo": as_place,
}
