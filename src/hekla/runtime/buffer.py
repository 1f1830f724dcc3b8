"""Owned memory: zeroed, aligned, on huge pages where the system allows."""

import enum
import mmap

from hekla.runtime.accounting import MemoryAccount
from hekla.runtime.errors import LayoutError, NoMemoryError
from hekla.runtime.owner import HUGE_PAGE_BYTES, PAGE_BYTES, Owner, address_of, round_up

MIN_ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class HugePages(enum.Enum):
    """Whether memory asks for pages of 2 MiB, which need 512 times fewer entries in the processor's page cache."""

    NEVER = "never"
    WHERE_ALLOWED = "where allowed"  # for buffers of 2 MiB or more; a system that says no costs speed only


class Buffer(Owner):
    """Owns `size_bytes` of zeroed memory until `close` (or the end of a `with`).

    alignment: a power of two; never less than 64.
    Errors: NoMemoryError when the system or the account has no room.
    Cost: one mmap; pages are given by the system when first touched.
    """

    def __init__(
        self,
        size_bytes: int,
        *,
        alignment: int = MIN_ALIGNMENT,
        huge_pages: HugePages = HugePages.WHERE_ALLOWED,
        account: MemoryAccount | None = None,
        kind: str = "buffer",
    ) -> None:
        if size_bytes < 0 or alignment < 1 or alignment & (alignment - 1):
            raise LayoutError(
                f"a buffer has 0 or more bytes and a power of two as alignment, got {size_bytes} and {alignment}"
            )
        wants_huge = huge_pages is HugePages.WHERE_ALLOWED and size_bytes >= HUGE_PAGE_BYTES
        self.alignment = max(alignment, MIN_ALIGNMENT, HUGE_PAGE_BYTES if wants_huge else 0)
        if account is not None:
            account.charge(kind, size_bytes)
        try:
            pages, start = _reserve(size_bytes, self.alignment)
        except (OSError, OverflowError, ValueError) as error:
            if account is not None:
                account.release(kind, size_bytes)
            raise NoMemoryError(
                f"the system has no {size_bytes} bytes: {error}", asked_bytes=size_bytes, where=kind
            ) from error
        super().__init__(f"a buffer of {size_bytes} bytes ({kind})", pages, start, size_bytes, account, kind)
        self.has_huge_pages = wants_huge and _advise_huge(pages, start, size_bytes)

    @property
    def address(self) -> int:
        """Where the bytes begin. Errors: ReleasedError."""
        self._check_open()
        assert self._pages is not None
        whole = memoryview(self._pages)
        return address_of(whole) + self._start


def _reserve(size: int, alignment: int) -> tuple[mmap.mmap, int]:
    """Return (pages, offset of the first aligned byte); what is reserved for alignment is never touched."""
    slack = alignment if alignment > PAGE_BYTES else 0
    length = max(PAGE_BYTES, round_up(size + slack, PAGE_BYTES))
    # private: of shared pages, which mmap takes by default, Linux makes no huge ones
    pages = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    begin = address_of(memoryview(pages))
    return pages, round_up(begin, alignment) - begin


def _advise_huge(pages: mmap.mmap, start: int, size: int) -> bool:
    if not hasattr(mmap, "MADV_HUGEPAGE"):  # a constant of Linux only
        return False
    try:
        pages.madvise(mmap.MADV_HUGEPAGE, start, round_up(size, PAGE_BYTES))
    except OSError:
        return False
    return True
