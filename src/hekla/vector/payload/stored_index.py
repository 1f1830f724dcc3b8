"""A payload index of a segment: sections that lie on disk, each in an order that finds (`flat_index.py`)."""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.row_marks import mark_between_float, mark_between_whole, mark_rows
from hekla.vector import bitmap
from hekla.vector.bitmap import Words
from hekla.vector.payload.flat_index import FlatIndex, FlatWords
from hekla.vector.payload.payload_index import RowColumn, WordRows
from hekla.vector.payload.postings import Postings, as_bytes, as_text
from hekla.vector.rows import AnyArray
from hekla.vector.schema import FieldSchema


class FieldIndex:
    """One payload index of a segment, mapped."""

    def __init__(self, field: FieldSchema, sections: Mapping[str, AnyArray]) -> None:
        self.field, self.sections = field, sections

    @cached_property
    def postings(self) -> Postings:
        """Terms and their rows."""
        return Postings(self.sections)

    @property
    def present(self) -> Words:
        """Rows with a value."""
        words: Words = self.sections["present"]
        return words

    @property
    def null(self) -> Words:
        """Rows with a null."""
        words: Words = self.sections["null"]
        return words

    @cached_property
    def other(self) -> Words | None:
        """Rows that only their payloads tell of, None for none."""
        words: Words = self.sections["other"]
        return words if words.any() else None

    def mark_values(self, low: float, high: float, words: Words) -> None:
        """Mark rows with a number from low to high."""
        between = mark_between_float if self.field.kind == "float" else mark_between_whole
        check_rows(between(self.sections["values"], self.sections["values.row"], low, high, words))

    def mark_each(self, values: Collection[int], words: Words) -> None:
        """Mark rows with one of these numbers."""
        for value in values:
            check_rows(mark_between_whole(self.sections["values"], self.sections["values.row"], value, value, words))

    def mark_terms(self, terms: Collection[str], words: Words) -> None:
        """Mark rows with one of these terms."""
        postings = self.postings
        for term in terms:
            span = postings.span(as_bytes(term))
            if span.start < span.stop:
                check_rows(mark_rows(postings.rows[span], words))

    def places_of(self, term: str, row: int) -> set[int]:
        """Return where a word stands in a row that has it."""
        span = self.postings.span(as_bytes(term))
        at = span.start + int(np.searchsorted(self.postings.rows[span], row))
        offsets = self.sections["places.offsets"]
        return set(self.sections["places"][int(offsets[at]) : int(offsets[at + 1])].tolist())

    def numbers(self) -> tuple[AnyArray, RowColumn]:
        """Return all numbers and their rows."""
        return self.sections["values"], self.sections["values.row"]

    def between(self, south: float, north: float) -> tuple[AnyArray, AnyArray, RowColumn]:
        """Return the places between two latitudes."""
        lats = self.sections["lat"]
        span = slice(int(np.searchsorted(lats, south)), int(np.searchsorted(lats, north, "right")))
        return lats[span], self.sections["lon"][span], self.sections["geo.row"][span]

    def term_counts(self, live: NDArray[np.bool_]) -> Mapping[str, int]:
        """Return how many of the live rows have each term."""
        postings = self.postings
        sums = np.concatenate([[0], np.cumsum(live[postings.rows])])
        each = sums[postings.row_offsets[1:]] - sums[postings.row_offsets[:-1]]
        return {as_text(postings[i]): int(each[i]) for i in np.flatnonzero(each).tolist()}

    def word_rows(self, terms: Sequence[str]) -> WordRows:
        """Return what scores these words."""
        spans = [self.postings.span(as_bytes(term)) for term in terms]
        starts = np.array([span.start for span in spans], np.int64)
        ends = np.array([span.stop for span in spans], np.int64)
        texts, total = self._totals
        sections = self.sections
        return WordRows(self.postings.rows, sections["counts"], starts, ends, sections["lengths"], texts, total)

    def flat(self, rows: int) -> FlatIndex:
        """Return what is written of the index, over so many rows."""
        sections, kind = self.sections, self.field.kind
        present, null, other = (bitmap.to_mask(sections[name], rows) for name in ("present", "null", "other"))
        if kind == "geo":
            return FlatIndex(kind, present, null, other, sections["lat"], sections["geo.row"], (), sections["lon"])
        if kind not in ("keyword", "uuid", "text"):
            return FlatIndex(kind, present, null, other, sections["values"], sections["values.row"])
        postings = self.postings
        numbers = np.repeat(np.arange(len(postings)), np.diff(postings.row_offsets).astype(np.int64))
        words: FlatWords | None = None
        if kind == "text":
            offsets = sections["places.offsets"]
            words = FlatWords(sections["counts"], offsets, sections["places"], sections["lengths"])
        return FlatIndex(kind, present, null, other, numbers, postings.rows, postings, None, words)

    @cached_property
    def _totals(self) -> tuple[int, int]:
        """Rows with words, and all their words."""
        lengths = self.sections["lengths"]
        return int(np.count_nonzero(lengths)), int(lengths.sum(dtype=np.int64))


def check_rows(marked: int) -> None:
    """Refuse what names a row that is not there. Errors: IndexError, which `telling_damage` looks into."""
    if marked < 0:
        raise IndexError("an index names a row past the end of its segment")
