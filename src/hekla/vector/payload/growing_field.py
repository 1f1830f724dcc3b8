"""A payload index of points in memory: every point adds to it, nothing is ever built anew.

What a row has is appended in the order of rows: a keyword as the number of its term, so that finding it is a scan of
numbers, as a range is; words also in a list of their own. Points in memory are few (`seal_points`), and a scan of
20,000 takes microseconds. What a reader sees ends with its last row: what came later stands behind.
"""

from array import array
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.row_marks import mark_rows, mark_where_float, mark_where_whole
from hekla.vector import bitmap
from hekla.vector.bitmap import Words
from hekla.vector.growing import GrowingArray, GrowingBits
from hekla.vector.payload.field_index import READERS
from hekla.vector.payload.flat_index import FlatIndex, FlatWords, Sections, joined
from hekla.vector.payload.paths import Json, values_at
from hekla.vector.payload.payload_index import RowColumn, WordRows
from hekla.vector.payload.postings import as_bytes
from hekla.vector.payload.words import Words as Split
from hekla.vector.payload.words import words_by
from hekla.vector.rows import AnyArray
from hekla.vector.schema import FieldSchema

_FEW = 8  # values are scanned for one by one; more are looked up together


class GrowingField:
    """One payload index that grows. One thread adds; any thread looks, through `IndexAsOf`."""

    def __init__(self, field: FieldSchema) -> None:
        self.field = field
        self.read = READERS[field.kind]
        self.split = words_by(field.text) if field.kind == "text" else None
        self.present, self.null, self.other = GrowingBits(), GrowingBits(), GrowingBits()
        self.first_other: int | None = None  # row
        # What rows have, row after row. Of term kinds, `values` are numbers of terms.
        self.ends = GrowingArray(np.uint32)  # of the pairs of each row
        self.rows = GrowingArray(np.uint32)
        self.values = GrowingArray(np.float64 if field.kind in ("float", "geo") else np.int64)  # geo: the latitude
        self.longitudes = GrowingArray(np.float64, room=64 if field.kind == "geo" else 0)
        self.terms: list[str] = []
        self.number_of: dict[str, int] = {}
        # Of text: for each pair how often and where, for each word its pairs, for each row how long it is.
        self.counts = GrowingArray(np.uint16)
        self.place_ends = GrowingArray(np.uint32)
        self.places = GrowingArray(np.uint32)
        self.pairs_of: list[array[int]] = []
        self.lengths = GrowingArray(np.uint32)
        self.totals = GrowingArray(np.int64, (2,))  # of all rows up to this one: texts, words

    def add(self, row: int, values: Sequence[Json]) -> None:
        """Add the next row."""
        self.add_rows(row, [values])

    def add_rows(self, first: int, each: Sequence[Sequence[Json]]) -> None:
        """Add the next rows, `first` and so on, each with its values: every column grows once."""
        if not each:
            return
        self._note_kinds(first, each)
        if self.split is not None:
            self._add_words(first, each)
            return
        values: list[Any] = []  # Any: numbers, or places
        rows: list[int] = []
        ends: list[int] = []
        before = len(self.rows)
        is_term, read = self.field.kind in ("keyword", "uuid"), self.read
        for row, given in enumerate(each, first):
            found = [known for value in given if (known := read(value)) is not None]
            if is_term:
                found = [self._number(term) for term in dict.fromkeys(found)]
            values += found
            rows += [row] * len(found)
            ends.append(before + len(values))
        if self.field.kind == "geo":
            self.longitudes.extend([east for _, east in values])
            values = [north for north, _ in values]
        self.values.extend(values)
        self.rows.extend(rows)
        self.ends.extend(ends)

    def _note_kinds(self, first: int, each: Sequence[Sequence[Json]]) -> None:
        present: list[int] = []
        null: list[int] = []
        other: list[int] = []
        for row, values in enumerate(each, first):
            for value in values:
                if value is None:
                    null.append(row)
                    continue
                present.append(row)
                if self.read(value) is None:
                    other.append(row)
        for bits, rows in ((self.present, present), (self.null, null), (self.other, other)):
            bits.reserve(first + len(each))
            if rows:
                bits.add_all(rows)
        if other and self.first_other is None:
            self.first_other = other[0]

    def _number(self, term: str) -> int:
        number = self.number_of.get(term)
        if number is None:
            number = len(self.terms)
            self.terms.append(term)
            if self.split is not None:
                self.pairs_of.append(array("I"))
            self.number_of[term] = number  # last: who finds it finds its pairs
        return number

    def _add_words(self, first: int, each: Sequence[Sequence[Json]]) -> None:
        assert self.split is not None
        numbers: list[int] = []
        rows: list[int] = []
        counts: list[int] = []
        places: list[int] = []
        place_ends: list[int] = []
        ends: list[int] = []
        lengths: list[int] = []
        totals: list[tuple[int, int]] = []
        pair, place_end = len(self.rows), len(self.places)
        texts, total = self.totals.at(first - 1).tolist() if first else (0, 0)
        for row, values in enumerate(each, first):
            stands, length = _stands(self.split, values)
            for word, stood in stands.items():
                number = self._number(word)
                self.pairs_of[number].append(pair)
                pair += 1
                numbers.append(number)
                counts.append(min(len(stood), 65535))
                places += stood
                place_end += len(stood)
                place_ends.append(place_end)
            rows += [row] * len(stands)
            ends.append(pair)
            lengths.append(length)
            texts, total = texts + (length > 0), total + length
            totals.append((texts, total))
        self.values.extend(numbers)
        self.rows.extend(rows)
        self.counts.extend(counts)
        self.places.extend(places)
        self.place_ends.extend(place_ends)
        self.lengths.extend(lengths)
        self.totals.extend(totals)
        self.ends.extend(ends)


def _stands(split: Split, values: Sequence[Json]) -> tuple[dict[str, list[int]], int]:
    """Return where each word stands in the texts of a row, and how many words there are."""
    stands: dict[str, list[int]] = {}
    place = length = 0
    for value in values:
        words = split(value) if isinstance(value, str) else []
        for at, word in enumerate(words, place):
            if word in stands:
                stands[word].append(at)
            else:
                stands[word] = [at]
        length += len(words)
        place += len(words) + 1  # a gap, which no phrase reaches over
    return stands, length


def build_field(payloads: Sequence[Json], path: str, field: FieldSchema) -> Sections:
    """Return the sections of one index over the payloads of n rows."""
    growing = GrowingField(field)
    growing.add_rows(0, [values_at(payload, path) if payload else [] for payload in payloads])
    return joined([IndexAsOf(growing, len(payloads)).flat()], [np.arange(len(payloads))])


class IndexAsOf:
    """A growing index as it was when it had so many rows. See `PayloadIndex`."""

    def __init__(self, growing: GrowingField, rows: int) -> None:
        self._growing, self._n = growing, rows
        self._pairs = int(growing.ends.at(rows - 1)) if rows else 0

    @property
    def field(self) -> FieldSchema:
        """Its kind."""
        return self._growing.field

    @property
    def present(self) -> Words:
        """Rows with a value."""
        return self._growing.present.of_first(self._n)

    @property
    def null(self) -> Words:
        """Rows with a null."""
        return self._growing.null.of_first(self._n)

    @property
    def other(self) -> Words | None:
        """Rows that only their payloads tell of, None for none."""
        first = self._growing.first_other
        return None if first is None or first >= self._n else self._growing.other.of_first(self._n)

    def numbers(self) -> tuple[AnyArray, RowColumn]:
        """Return all numbers and their rows."""
        return self._growing.values.first(self._pairs), self._growing.rows.first(self._pairs)

    def mark_values(self, low: float, high: float, words: Words) -> None:
        """Mark rows with a number from low to high."""
        where = mark_where_float if self._growing.field.kind == "float" else mark_where_whole
        where(*self.numbers(), low, high, words)

    def mark_each(self, values: Collection[int], words: Words) -> None:
        """Mark rows with one of these numbers."""
        if len(values) > _FEW:
            found, rows = self.numbers()
            mark_rows(rows[np.isin(found, np.array(list(values), np.int64))], words)
            return
        for value in values:
            self.mark_values(value, value, words)

    def mark_terms(self, terms: Collection[str], words: Words) -> None:
        """Mark rows with one of these terms."""
        known = [number for term in terms if (number := self._growing.number_of.get(term)) is not None]
        if self._growing.split is None:
            self.mark_each(known, words)
            return
        for number in known:
            mark_rows(self._growing.rows.first(self._pairs)[self._pairs_of(number)], words)

    def _pairs_of(self, number: int) -> AnyArray:
        """Return the pairs of a word, rising."""
        # a copy in one step of the interpreter: others may add
        pairs = np.frombuffer(self._growing.pairs_of[number].tobytes(), np.uint32)
        if len(pairs) and pairs[-1] >= self._pairs:
            return pairs[: int(np.searchsorted(pairs, self._pairs))]
        return pairs

    def places_of(self, term: str, row: int) -> set[int]:
        """Return where a word stands in a row that has it."""
        growing = self._growing
        pairs = self._pairs_of(growing.number_of[term])
        pair = int(pairs[np.searchsorted(growing.rows.first(self._pairs)[pairs], row)])
        first = int(growing.place_ends.at(pair - 1)) if pair else 0
        return set(growing.places.first(int(growing.place_ends.at(pair)))[first:].tolist())

    def between(self, south: float, north: float) -> tuple[AnyArray, AnyArray, RowColumn]:
        """Return the places between two latitudes."""
        lats, rows = self.numbers()
        near = np.flatnonzero((lats >= south) & (lats <= north))
        return lats[near], self._growing.longitudes.first(self._pairs)[near], rows[near]

    def term_counts(self, live: NDArray[np.bool_]) -> Mapping[str, int]:
        """Return how many of the live rows have each term."""
        numbers, rows = self.numbers()
        each = np.bincount(numbers[live[rows]])
        return {self._growing.terms[i]: int(each[i]) for i in np.flatnonzero(each).tolist()}

    def word_rows(self, terms: Sequence[str]) -> WordRows:
        """Return what scores these words."""
        growing = self._growing
        known = [growing.number_of.get(term) for term in terms]
        each = [np.zeros(0, np.uint32) if number is None else self._pairs_of(number) for number in known]
        pairs = np.concatenate([*each, np.zeros(0, np.uint32)]).astype(np.uint32)
        ends = np.cumsum([len(some) for some in each], dtype=np.int64)
        starts = ends - np.array([len(some) for some in each], np.int64)
        texts, total = growing.totals.at(self._n - 1).tolist() if self._n else (0, 0)
        rows, counts = growing.rows.first(self._pairs)[pairs], growing.counts.first(self._pairs)[pairs]
        return WordRows(rows, counts, starts, ends, growing.lengths.first(self._n), texts, total)

    def flat(self) -> FlatIndex:
        """Return what is written of the index."""
        growing, n = self._growing, self._n
        values, rows = self.numbers()
        other = self.other
        east = growing.longitudes.first(self._pairs) if growing.field.kind == "geo" else None
        words: FlatWords | None = None
        if growing.split is not None:
            offsets = np.concatenate([np.zeros(1, np.uint64), growing.place_ends.first(self._pairs).astype(np.uint64)])
            places = growing.places.first(int(offsets[-1]))
            words = FlatWords(growing.counts.first(self._pairs), offsets, places, growing.lengths.first(n))
        return FlatIndex(
            growing.field.kind,
            bitmap.to_mask(self.present, n),
            bitmap.to_mask(self.null, n),
            np.zeros(n, np.bool_) if other is None else bitmap.to_mask(other, n),
            values,
            rows,
            [as_bytes(term) for term in growing.terms[: len(growing.terms)]],
            east,
            words,
        )
