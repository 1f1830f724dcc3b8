"""A stretch of mapped memory, and the rules all owners share: page rounding, addresses, giving back."""

import ctypes
import mmap
import weakref
from types import TracebackType
from typing import Self

from hekla.runtime.accounting import MemoryAccount
from hekla.runtime.errors import BoundsError, InUseError, ReleasedError

PAGE_BYTES = mmap.PAGESIZE
HUGE_PAGE_BYTES = 2 << 20


def round_up(count: int, unit: int) -> int:
    """Return the smallest multiple of `unit` that is at least `count`."""
    return -(-count // unit) * unit


def address_of(memory: memoryview) -> int:
    """Return where writable memory begins."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


class Owner:
    """Owns an mmap and the bytes [start, start + size) of it; gives them back on `close`, once.

    `name` is what errors call it. The account is charged here and credited on close.
    """

    def __init__(
        self, name: str, pages: mmap.mmap | None, start: int, size: int, account: MemoryAccount | None, kind: str
    ) -> None:
        self.name, self.size_bytes, self.kind = name, size, kind
        self._pages, self._start = pages, start
        self._closed = False
        # views keep the pages after their owner is forgotten: the account is credited when the pages go
        self._credit = None
        if account is not None and pages is not None:
            self._credit = weakref.finalize(pages, account.release, kind, size)
            self._credit.atexit = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_closed(self) -> bool:
        """True once the memory was given back."""
        return self._closed

    def memory(self, start: int = 0, size: int | None = None) -> memoryview:
        """Return bytes of it, without a copy; they keep it from being closed.

        Errors: BoundsError outside of it, ReleasedError after close.
        """
        self._check_open()
        stop = self.size_bytes if size is None else start + size
        if not 0 <= start <= stop <= self.size_bytes:
            raise BoundsError(self.name, start=start, stop=stop, size=self.size_bytes)
        if self._pages is None:
            return memoryview(b"")
        return memoryview(self._pages)[self._start + start : self._start + stop]

    def close(self) -> None:
        """Give the memory back; a second time does nothing. Errors: InUseError while views look at it."""
        if self._closed:
            return
        if self._pages is not None:
            try:
                self._pages.close()
            except BufferError as error:
                raise InUseError("views still look at this memory", where=self.name, cure="drop them first") from error
        self._closed = True
        if self._credit is not None:
            self._credit()

    def _check_open(self) -> None:
        if self._closed:
            raise ReleasedError("this memory was given back", where=self.name)
