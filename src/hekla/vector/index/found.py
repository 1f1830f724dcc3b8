"""What a search returns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.answer import ANSWER_WORDS

Bitmap = NDArray[np.uint64]
NO_BITMAP: Bitmap = np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True)
class Found:
    """The nearest rows, nearest first: rows (k,) i64, distances (k,) f32 as the metric has them; fewer where there
    are fewer.

    is_complete: False where the deadline passed first; the best until then is here.
    blocks_read: what the search cost.
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]
    is_complete: bool = True
    blocks_read: int = 0


class Answer:
    """The nearest of one part or of several, nearest first, merged by the kernels as each part is done.

    places: part << 40 | row; known: ids; ranks: distances as the metric has them; scores: as callers see them.
    answered: how many there are, blocks read, whether the query was all zeros (`hekla.kernels.answer`).
    """

    __slots__ = ("answered", "arrays", "known", "places", "ranks", "room", "scores")

    def __init__(self, room: int) -> None:
        self.room = room
        self.places, self.known = np.zeros(room, np.int64), np.zeros(room, np.uint64)
        self.ranks, self.scores = np.zeros(room, np.float32), np.zeros(room, np.float64)
        self.answered = np.zeros(ANSWER_WORDS, np.int64)
        self.arrays = (self.places, self.known, self.ranks, self.scores, self.answered)


@dataclass(frozen=True, slots=True)
class FoundMany:
    """For each of q queries: rows (q, k) i64, -1 where there are fewer; distances (q, k) f32, NaN there."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]


def bitmap_of(rows: NDArray[np.integer] | NDArray[np.bool_], count: int) -> Bitmap:
    """Return the bitmap over `count` rows: bit r % 64 of word r // 64, from row numbers or from one truth value a
    row.
    """
    marks = rows
    if rows.dtype != np.bool_:
        marks = np.zeros(count, np.bool_)
        marks[rows] = True
    packed = np.packbits(marks, bitorder="little")
    words = np.zeros(-(-count // 64) * 8, np.uint8)
    words[: len(packed)] = packed
    return words.view(np.uint64)
