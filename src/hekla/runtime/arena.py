"""Memory taken piece by piece and given back as a whole."""

import math
import weakref
from types import TracebackType
from typing import Any, Self

import numpy as np

from hekla.runtime.accounting import MemoryAccount
from hekla.runtime.buffer import MIN_ALIGNMENT, Buffer
from hekla.runtime.errors import InUseError, NoMemoryError
from hekla.runtime.owner import round_up
from hekla.runtime.view import View, view_of


class Arena:
    """Owns one buffer and hands out views of it, one behind the other; `reset` takes all of them back.

    Not for several threads at once. Cost of a `take`: an addition and a view; no system call.
    """

    def __init__(self, capacity_bytes: int, *, account: MemoryAccount | None = None, kind: str = "arena") -> None:
        self._buffer = Buffer(capacity_bytes, account=account, kind=kind)
        self._taken: list[tuple[int, weakref.ref[Any]]] = []  # (offset, the array); Any: arrays of any type
        self.kind = kind
        self.used_bytes = 0
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def capacity_bytes(self) -> int:
        """How many bytes there are in all."""
        return self._buffer.size_bytes

    def take(self, dtype: "np.dtype[Any] | str", shape: tuple[int, ...], *, alignment: int = MIN_ALIGNMENT) -> View:
        """Return a view of memory not in use; after the first `reset` it is not zeroed.

        Errors: NoMemoryError when the arena is full (nothing is taken then); ReleasedError after close.
        """
        start = round_up(self.used_bytes, alignment)
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if start + size > self.capacity_bytes:
            raise NoMemoryError(
                f"{size} bytes do not fit: {self.used_bytes} of {self.capacity_bytes} are taken",
                asked_bytes=size,
                where=self.kind,
                cure="make the arena larger, or reset it",
            )
        view = view_of(self._buffer, dtype, shape, offset=start)
        self._taken.append((start, weakref.ref(_root(view.array))))
        self.used_bytes = start + size
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)
        return view

    def reset(self, to_bytes: int = 0) -> None:
        """Take back everything, or what was taken since `used_bytes` was `to_bytes`.

        Errors: InUseError while a view of it lives; nothing is taken back then.
        """
        live = sum(array() is not None for start, array in self._taken if start >= to_bytes)
        if live:
            raise InUseError(f"{live} views of the arena are in use", where=self.kind, cure="drop them first")
        self._taken = [(start, array) for start, array in self._taken if start < to_bytes]
        self.used_bytes = min(self.used_bytes, to_bytes)

    def close(self) -> None:
        """Give the memory back. Errors: InUseError while a view of it lives."""
        self._buffer.close()


def _root(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return the array that every slice of this one keeps alive: NumPy collapses chains of bases to it."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
