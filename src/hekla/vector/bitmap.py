"""Sets of rows, a bit each: row r is bit r % 64 of word r // 64. A bitmap never changes; changing gives another."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]


def words_for(rows: int) -> int:
    """Return how many words hold this many rows."""
    return -(-rows // 64)


def nothing(rows: int) -> Words:
    """Return the empty set."""
    return np.zeros(words_for(rows), np.uint64)


def everything(rows: int) -> Words:
    """Return the set of all rows."""
    words = np.full(words_for(rows), (1 << 64) - 1, np.uint64)
    if rows & 63:
        words[-1] = (1 << (rows & 63)) - 1
    return words


def of_mask(mask: NDArray[np.bool_]) -> Words:
    """Return the set of rows where the mask (n,) is true."""
    packed = np.packbits(mask, bitorder="little")
    padded = np.zeros(words_for(len(mask)) * 8, np.uint8)
    padded[: len(packed)] = packed
    return padded.view(np.uint64)


def to_mask(words: Words, rows: int) -> NDArray[np.bool_]:
    """Return the set as a mask (rows,)."""
    return np.unpackbits(words.view(np.uint8), count=rows, bitorder="little").view(np.bool_)


def of_rows(found: NDArray[Any], rows: int) -> Words:
    """Return the set of the rows listed."""
    if len(found) < rows // 256:  # few: a word each is sooner set than every row packed
        return with_rows(nothing(rows), found, rows)
    mask = np.zeros(rows, np.bool_)
    mask[found] = True
    return of_mask(mask)


def with_rows(words: Words, found: NDArray[Any], rows: int) -> Words:
    """Return the set and the rows listed, of `rows` rows in all: the set may have been of fewer."""
    grown = nothing(rows)
    grown[: len(words)] = words
    at = found.astype(np.uint64)
    np.bitwise_or.at(grown, at >> np.uint64(6), np.uint64(1) << (at & np.uint64(63)))
    return grown


def members(words: Words, rows: int) -> NDArray[np.int64]:
    """Return the rows in the set, rising."""
    return np.flatnonzero(to_mask(words, rows))


def contains(words: Words, found: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each row listed whether it is in the set."""
    at = found.astype(np.uint64)
    is_in: NDArray[np.bool_] = (words[at >> np.uint64(6)] >> (at & np.uint64(63)) & np.uint64(1)).astype(np.bool_)
    return is_in


def count(words: Words) -> int:
    """Return how many rows the set has."""
    return int(np.bitwise_count(words).sum())
