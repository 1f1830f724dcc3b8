"""Memory with an owner: aligned, zeroed, counted, and lent to NumPy and to anything with DLPack."""

import mmap
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hekla.base.errors import NotFoundError, TooLargeError

PAGE = mmap.PAGESIZE
HUGE_PAGE = 2 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of one purpose: held now, and the most held at once."""

    now: int
    peak: int


class MemoryAccount:
    """Counts memory by purpose, with an optional limit. Safe between threads; a server exports `usage()`."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._now: dict[str, int] = {}
        self._peak: dict[str, int] = {}

    def take(self, purpose: str, count: int) -> None:
        """Count bytes as held. Errors: TooLargeError over the limit, and then nothing is counted."""
        with self._lock:
            total = sum(self._now.values()) + count
            if self._limit is not None and total > self._limit:
                raise TooLargeError(purpose, limit=f"{self._limit} bytes in all", got=f"{total} bytes")
            self._now[purpose] = self._now.get(purpose, 0) + count
            self._peak[purpose] = max(self._peak.get(purpose, 0), self._now[purpose])

    def give(self, purpose: str, count: int) -> None:
        """Count bytes as free again."""
        with self._lock:
            self._now[purpose] -= count

    def usage(self) -> dict[str, Usage]:
        """Return the bytes of each purpose."""
        with self._lock:
            return {purpose: Usage(now, self._peak[purpose]) for purpose, now in self._now.items()}


class Memory:
    """Zeroed pages with one owner. Views lent by `array` keep the pages mapped; the account is settled by `close`.

    Pages are asked for as huge ones where that is worth it and allowed; they are taken when first written.
    """

    def __init__(self, size_bytes: int, *, account: MemoryAccount | None = None, purpose: str = "memory") -> None:
        if size_bytes < 0:
            raise TooLargeError(purpose, limit="a size of 0 or more", got=str(size_bytes))
        self.size_bytes = size_bytes
        self._account, self._purpose = account, purpose
        self._held = -(-max(size_bytes, 1) // PAGE) * PAGE
        if account is not None:
            account.take(purpose, self._held)
        try:
            self._pages = mmap.mmap(-1, self._held)
        except (OSError, OverflowError, ValueError) as error:
            self._settle()
            raise TooLargeError(purpose, limit="what the system gives", got=f"{size_bytes} bytes") from error
        if self._held >= HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
            self._pages.madvise(mmap.MADV_HUGEPAGE)

    def array(self, shape: tuple[int, ...], dtype: DTypeLike, offset_bytes: int = 0) -> NDArray[Any]:
        """Return a writable array over this memory. Errors: TooLargeError where it does not fit."""
        kind = np.dtype(dtype)
        end = offset_bytes + kind.itemsize * int(np.prod(shape, dtype=np.int64))
        if offset_bytes < 0 or end > self.size_bytes:
            raise TooLargeError(self._purpose, limit=f"{self.size_bytes} bytes", got=f"{offset_bytes} to {end}")
        return np.ndarray(shape, kind, self._pages, offset_bytes)

    def close(self) -> None:
        """Settle the account; the pages go when the last array over them goes. Closing twice is one close."""
        self._settle()

    def _settle(self) -> None:
        if self._account is not None:
            self._account.give(self._purpose, self._held)
            self._account = None

    def __enter__(self) -> "Memory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def mapped_file(path: Path, dtype: DTypeLike = np.uint8, offset_bytes: int = 0, count: int = -1) -> NDArray[Any]:
    """Return a read-only array over a file's bytes, without reading them; pages come when they are touched.

    Errors: NotFoundError; TooLargeError where the file is shorter. The file must not be cut while it is mapped.
    """
    kind = np.dtype(dtype)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise NotFoundError("no such file", where=str(path)) from error
    room = (size - offset_bytes) // kind.itemsize
    wanted = room if count < 0 else count
    if offset_bytes < 0 or wanted > room or room < 0:
        raise TooLargeError(str(path), limit=f"{size} bytes", got=f"{offset_bytes} + {wanted} x {kind.itemsize}")
    if wanted == 0:
        return np.zeros(0, kind)
    return np.memmap(path, kind, "r", offset_bytes, (wanted,)).view(np.ndarray)
