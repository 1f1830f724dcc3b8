"""What a payload index answers, be it a segment's, on disk, or that of points in memory."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hekla.vector.bitmap import Words
from hekla.vector.rows import AnyArray
from hekla.vector.schema import FieldSchema

RowColumn = NDArray[np.uint32]


class PayloadIndex(Protocol):
    """One payload index over n rows. `words` are sets of rows, and marking adds rows to one."""

    @property
    def field(self) -> FieldSchema:
        """Its kind."""

    @property
    def present(self) -> Words:
        """Rows with a value."""

    @property
    def null(self) -> Words:
        """Rows with a null."""

    @property
    def other(self) -> Words | None:
        """Rows with a value that is not of the index's kind, so that only their payloads tell; None for none."""

    def mark_values(self, low: float, high: float, words: Words) -> None:
        """Mark rows with a number from low to high, both within. Of integer, datetime, bool, float."""

    def mark_each(self, values: Collection[int], words: Words) -> None:
        """Mark rows with one of these numbers. Of integer and bool."""

    def mark_terms(self, terms: Collection[str], words: Words) -> None:
        """Mark rows with one of these terms. Of keyword, uuid and text, whose terms are words."""

    def places_of(self, term: str, row: int) -> set[int]:
        """Return where a word stands in a row that has it. Of text."""

    def numbers(self) -> tuple[AnyArray, RowColumn]:
        """Return all numbers (m,), in no order, and the row beside each. Of integer, datetime, bool, float."""

    def between(self, south: float, north: float) -> tuple[AnyArray, AnyArray, RowColumn]:
        """Return latitudes, longitudes and rows of places between two latitudes. Of geo."""

    def term_counts(self, live: NDArray[np.bool_]) -> Mapping[str, int]:
        """Return how many of the live rows have each term, those that none has left out. Of keyword and uuid."""

    def word_rows(self, terms: Sequence[str]) -> "WordRows":
        """Return what scores these words. Of text."""


class WordRows:
    """The rows that have some words, word after word, and how long texts are."""

    __slots__ = ("counts", "ends", "lengths", "rows", "starts", "texts", "total")

    def __init__(
        self,
        rows: RowColumn,
        counts: NDArray[np.uint16],
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        lengths: RowColumn,
        texts: int,
        total: int,
    ) -> None:
        self.rows, self.counts = rows, counts  # (m,) rising within a word, and how often it is there
        self.starts, self.ends = starts, ends  # (words,) where a word's rows stand
        self.lengths = lengths  # (n,) words of each row
        self.texts, self.total = texts, total  # rows with words, and all their words
