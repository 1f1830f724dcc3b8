"""Rows that grow at the end, while readers hold on to what they saw."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hekla.vector import bitmap
from hekla.vector.rows import DTYPES, AnyArray, Dense, Ids, Payloads, Rows, Sparse, row_shape
from hekla.vector.schema import CollectionSchema

_FIRST = 64


class GrowingArray:
    """An array that grows along its first axis. What `view` gave stays as it was: nothing moves under it."""

    __slots__ = ("_array", "_length")

    def __init__(
        self, dtype: np.dtype[Any] | type[np.generic], tail: tuple[int, ...] = (), *, room: int = _FIRST
    ) -> None:
        """room: how many elements to begin with."""
        self._array: AnyArray = np.zeros((room, *tail), dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, value: float) -> None:
        """Add one element at the end."""
        at = self._length
        if at == len(self._array):
            self._grow(at + 1)
        self._array[at] = value
        self._length = at + 1

    def extend(self, more: AnyArray | Sequence[Any]) -> None:  # Any: elements
        """Add elements at the end."""
        needed = self._length + len(more)
        if needed > len(self._array):
            self._grow(needed)
        self._array[self._length : needed] = more
        self._length = needed

    def _grow(self, needed: int) -> None:
        grown = np.zeros((max(needed, 2 * len(self._array)), *self._array.shape[1:]), self._array.dtype)
        grown[: self._length] = self._array[: self._length]
        self._array = grown

    def first(self, count: int) -> AnyArray:
        """Return the first elements, of as many as there were at some time. Any thread, while one adds more."""
        return self._array[:count]

    def at(self, place: int) -> Any:  # Any: an element
        """Return one element. Any thread, while one adds more."""
        return self._array[place]

    def view(self) -> AnyArray:
        """Return what there is now."""
        view = self._array[: self._length]
        view.flags.writeable = False
        return view

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return int(self._array[: self._length].nbytes)


class GrowingBits:
    """A set of rows that grows. Any thread may look while one adds rows, each greater than all before."""

    __slots__ = ("_words",)

    def __init__(self) -> None:
        self._words = np.zeros(_FIRST, np.uint64)

    def add(self, row: int) -> None:
        """Add a row."""
        self.reserve(row + 1)
        self._words[row >> 6] |= np.uint64(1 << (row & 63))

    def add_all(self, rows: Sequence[int]) -> None:
        """Add rows, rising, there being room for them."""
        words: dict[int, int] = {}
        for row in rows:
            words[row >> 6] = words.get(row >> 6, 0) | 1 << (row & 63)
        for word, bits in words.items():
            self._words[word] |= np.uint64(bits)

    def reserve(self, rows: int) -> None:
        """Make room for so many rows, in the set or not."""
        needed = bitmap.words_for(rows)
        if needed > len(self._words):
            grown = np.zeros(max(needed, 2 * len(self._words)), np.uint64)
            grown[: len(self._words)] = self._words
            self._words = grown

    def of_first(self, rows: int) -> bitmap.Words:
        """Return which of the first rows are in the set. There is room for as many."""
        words = self._words[: bitmap.words_for(rows)].copy()
        if rows & 63:
            words[-1] &= np.uint64((1 << (rows & 63)) - 1)
        return words


class GrowingRows:
    """The newest points, in memory."""

    def __init__(self, schema: CollectionSchema) -> None:
        self._schema = schema
        self._rows = 0
        self._lacks: set[str] = set()  # vectors that some row lacks
        self._arrays: dict[str, GrowingArray] = {
            "id.low": GrowingArray(np.uint64),
            "id.high": GrowingArray(np.uint64),
            "id.is_uuid": GrowingArray(np.bool_),
            "payload.ends": GrowingArray(np.uint64),
            "payload.text": GrowingArray(np.uint8),
        }
        for name, vector in schema.vectors.items():
            self._arrays[f"dense.{name}.values"] = GrowingArray(DTYPES[vector.dtype], (row_shape(vector),))
            self._arrays[f"dense.{name}.is_present"] = GrowingArray(np.bool_)
            self._arrays[f"dense.{name}.ends"] = GrowingArray(np.uint64)
        for name in schema.sparse:
            self._arrays[f"sparse.{name}.ends"] = GrowingArray(np.uint64)
            self._arrays[f"sparse.{name}.indices"] = GrowingArray(np.uint32)
            self._arrays[f"sparse.{name}.values"] = GrowingArray(np.float32)
        for name, array in self._arrays.items():
            if name.endswith(".ends"):
                array.extend(np.zeros(1, np.uint64))  # offsets: one more than rows, from 0

    def __len__(self) -> int:
        return self._rows

    @property
    def nbytes(self) -> int:
        """Bytes that the rows take."""
        return sum(array.nbytes for array in self._arrays.values())

    def extend(self, rows: Rows) -> None:
        """Add rows at the end."""
        arrays, n = self._arrays, len(rows)
        arrays["id.low"].extend(rows.ids.low)
        arrays["id.high"].extend(rows.ids.high)
        arrays["id.is_uuid"].extend(rows.ids.is_uuid)
        for name, dense in rows.dense.items():
            arrays[f"dense.{name}.values"].extend(dense.values)
            if dense.is_present is not None or name in self._lacks:
                self._extend_present(name, dense.is_present, n)
            if dense.offsets is not None:
                _extend_ends(arrays[f"dense.{name}.ends"], dense.offsets)
        for name, sparse in rows.sparse.items():
            _extend_ends(arrays[f"sparse.{name}.ends"], sparse.offsets)
            arrays[f"sparse.{name}.indices"].extend(sparse.indices)
            arrays[f"sparse.{name}.values"].extend(sparse.values)
        arrays["payload.text"].extend(rows.payloads.text)
        _extend_ends(arrays["payload.ends"], rows.payloads.offsets)
        self._rows += n

    def _extend_present(self, name: str, is_present: AnyArray | None, n: int) -> None:
        array = self._arrays[f"dense.{name}.is_present"]
        if name not in self._lacks:
            array.extend(np.ones(self._rows, np.bool_))
            self._lacks.add(name)
        array.extend(np.ones(n, np.bool_) if is_present is None else is_present)

    def view(self) -> Rows:
        """Return the rows there are now; they stay as they are while this grows."""
        return self.first(self._rows)

    def first(self, n: int) -> Rows:
        """Return the first rows, of as many as there were at some time. Any thread, while one adds more."""
        arrays = self._arrays
        dense = {}
        for name, vector in self._schema.vectors.items():
            is_present = arrays[f"dense.{name}.is_present"].first(n) if name in self._lacks else None
            if vector.is_multi:
                ends = arrays[f"dense.{name}.ends"].first(n + 1)
                values = arrays[f"dense.{name}.values"].first(int(ends[-1]))
                dense[name] = Dense(values, is_present, ends)
            else:
                dense[name] = Dense(arrays[f"dense.{name}.values"].first(n), is_present)
        sparse = {}
        for name in self._schema.sparse:
            ends = arrays[f"sparse.{name}.ends"].first(n + 1)
            entries = int(ends[-1])
            columns = (arrays[f"sparse.{name}.{which}"].first(entries) for which in ("indices", "values"))
            sparse[name] = Sparse(ends, *columns)
        ends = arrays["payload.ends"].first(n + 1)
        return Rows(
            Ids(arrays["id.low"].first(n), arrays["id.high"].first(n), arrays["id.is_uuid"].first(n)),
            dense,
            sparse,
            Payloads(ends, arrays["payload.text"].first(int(ends[-1]))),
        )


def _extend_ends(ends: GrowingArray, offsets: AnyArray) -> None:
    ends.extend(offsets[1:] - offsets[0] + ends.at(len(ends) - 1))
