"""A payload index as it is written: what several parts' indexes know of the rows that are kept, as one's sections.

Nothing is read of the payloads again, and no row is looked at by itself: while a segment is made of others, searches
go on, and Python that counts rows would hold them up.

Sections of every kind: `about`, u8, JSON that says what the index is of (`kind`, `language`, `is_lowercase`); and words
of bitmaps: `present`, rows with a value; `null`, rows with a null; `other`, rows with a value that is not of the
index's kind, so that only their payloads tell. By kind:

    keyword, uuid, text   terms (`postings.py`)
    integer, datetime     `values` (m,) i64 rising and `values.row` (m,) u32 beside; a datetime is microseconds
    bool                  as integer, 0 and 1
    float                 `values` (m,) f64 rising and `values.row` (m,) u32 beside; integers of a payload count too
    geo                   `lat` (m,) f64 rising, `lon` (m,) f64 and `geo.row` (m,) u32 beside
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hekla.vector import bitmap
from hekla.vector.payload.postings import ends_of
from hekla.vector.rows import AnyArray

Sections = dict[str, AnyArray]
SECTION_NAMES = frozenset(
    {"about", "present", "null", "other", "terms.offsets", "terms.text", "rows.offsets", "rows", "counts", "lengths"}
    | {"places.offsets", "places", "values", "values.row", "lat", "lon", "geo.row"}
)
Mask = NDArray[np.bool_]


class Terms(Protocol):
    """Terms by number."""

    def __getitem__(self, number: int, /) -> bytes:
        """Return one, as it is stored."""


@dataclass(frozen=True, slots=True)
class FlatWords:
    """More of a text's pairs."""

    counts: NDArray[np.uint16]  # (m,) how often the word is in the row
    offsets: NDArray[np.uint64]  # (m + 1,) where the places of each pair begin
    places: NDArray[np.uint32]
    lengths: NDArray[np.uint32]  # (n,) words of each row


@dataclass(frozen=True, slots=True)
class FlatIndex:
    """What an index knows of n rows: m pairs of a value and a row; of one value, the rows rise."""

    kind: str
    present: Mask  # (n,)
    null: Mask
    other: Mask
    values: AnyArray  # (m,) numbers, latitudes, numbers of terms
    rows: AnyArray  # (m,)
    terms: Terms = ()
    longitudes: AnyArray | None = None  # (m,) of geo
    words: FlatWords | None = None  # of text


def joined(each: Sequence[FlatIndex], kept: Sequence[AnyArray]) -> Sections:
    """Return the sections of one index over these rows of some, (k,) rising for each. At least one."""
    kind = each[0].kind
    pairs, rows = [], []
    first = 0
    for flat, chosen in zip(each, kept, strict=True):
        place = np.full(len(flat.present), -1, np.int64)
        place[chosen] = np.arange(first, first + len(chosen))
        new = place[flat.rows]
        pairs.append(np.flatnonzero(new >= 0))
        rows.append(new[pairs[-1]])
        first += len(chosen)
    sections: Sections = {
        name: bitmap.of_mask(np.concatenate([getattr(f, name)[c] for f, c in zip(each, kept, strict=True)]))
        for name in ("present", "null", "other")
    }
    of_rows = np.concatenate(rows).astype(np.uint32)
    values = [flat.values[some] for flat, some in zip(each, pairs, strict=True)]
    if kind in ("keyword", "uuid", "text"):
        return {**sections, **_terms(each, kept, pairs, values, of_rows)}
    numbers = np.concatenate(values)
    order = np.argsort(numbers, kind="stable")
    if kind == "geo":
        east = [flat.longitudes[some] for flat, some in zip(each, pairs, strict=True) if flat.longitudes is not None]
        return {**sections, "lat": numbers[order], "lon": np.concatenate(east)[order], "geo.row": of_rows[order]}
    return {**sections, "values": numbers[order], "values.row": of_rows[order]}


def _terms(
    each: Sequence[FlatIndex],
    kept: Sequence[AnyArray],
    pairs: Sequence[AnyArray],
    values: Sequence[AnyArray],
    rows: AnyArray,
) -> Sections:
    """Return the sections of terms: those that a row still has, rising."""
    used = [np.unique(some) for some in values]
    terms = sorted({flat.terms[i] for flat, some in zip(each, used, strict=True) for i in some.tolist()})
    number_of = {term: number for number, term in enumerate(terms)}
    renumbered = []
    for flat, some, numbers in zip(each, used, values, strict=True):
        new = np.array([number_of[flat.terms[i]] for i in some.tolist()], np.int64)
        renumbered.append(new[np.searchsorted(some, numbers)])
    numbers = np.concatenate(renumbered)
    order = np.argsort(numbers, kind="stable")
    sections: Sections = {
        "terms.offsets": ends_of([len(term) for term in terms]),
        "terms.text": np.frombuffer(b"".join(terms), np.uint8),
        "rows.offsets": ends_of(np.bincount(numbers, minlength=len(terms))),
        "rows": rows[order],
    }
    words = [flat.words for flat in each if flat.words is not None]
    return {**sections, **_text(words, kept, pairs, order)} if words else sections


def _text(words: Sequence[FlatWords], kept: Sequence[AnyArray], pairs: Sequence[AnyArray], order: AnyArray) -> Sections:
    """Return the sections of words: how often and where. order: in which the pairs are written."""
    lengths, begins = [], []
    at = 0
    for some, chosen in zip(words, pairs, strict=True):
        lengths.append(np.diff(some.offsets)[chosen])
        begins.append(some.offsets[:-1][chosen].astype(np.int64) + at)
        at += len(some.places)
    stood, began = np.concatenate(lengths)[order].astype(np.int64), np.concatenate(begins)[order]
    offsets = ends_of(stood)
    inner = np.arange(int(offsets[-1])) + np.repeat(began - offsets[:-1].astype(np.int64), stood)
    return {
        "counts": np.concatenate([some.counts[chosen] for some, chosen in zip(words, pairs, strict=True)])[order],
        "lengths": np.concatenate([some.lengths[chosen] for some, chosen in zip(words, kept, strict=True)]),
        "places.offsets": offsets,
        "places": np.concatenate([some.places for some in words])[inner],
    }
