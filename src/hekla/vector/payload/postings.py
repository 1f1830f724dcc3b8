"""Which rows have a term: sorted terms, and for each its rows.

Sections (under the field's prefix): `terms.offsets` (t + 1,) u64 and `terms.text` u8, terms rising by their UTF-8;
`rows.offsets` (t + 1,) u64 and `rows` (m,) u32, rising within a term. Text fields also have `counts` (m,) u16, how
often the term is in the row, `lengths` (n,) u32, words of each row, and where the term stands in the row:
`places.offsets` (m + 1,) u64 and `places` u32.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.row_marks import find_term
from hekla.vector.rows import AnyArray


class Postings:
    """Sorted terms and their rows, mapped."""

    def __init__(self, sections: Mapping[str, AnyArray]) -> None:
        self._offsets, self._text = sections["terms.offsets"], sections["terms.text"]
        self.row_offsets, self.rows = sections["rows.offsets"], sections["rows"]

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, number: int) -> bytes:
        return self._text[int(self._offsets[number]) : int(self._offsets[number + 1])].tobytes()

    def find(self, term: bytes) -> int:
        """Return the number of a term, -1 where there is none."""
        return int(find_term(self._offsets, self._text, np.frombuffer(term, np.uint8)))

    def span(self, term: bytes) -> slice:
        """Return where a term's rows stand in `rows`."""
        number = self.find(term)
        return slice(0, 0) if number < 0 else slice(int(self.row_offsets[number]), int(self.row_offsets[number + 1]))


def ends_of(lengths: Sequence[int] | AnyArray) -> NDArray[np.uint64]:
    """Return offsets (n + 1,) from lengths (n,)."""
    offsets = np.zeros(len(lengths) + 1, np.uint64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def as_bytes(term: str) -> bytes:
    """Return a term as it is stored: UTF-8, halves of pairs and all."""
    return term.encode("utf-8", "surrogatepass")


def as_text(term: bytes) -> str:
    """Return a stored term."""
    return term.decode("utf-8", "surrogatepass")
