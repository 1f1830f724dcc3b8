"""Files as memory: opened by mapping, read by touching."""

import enum
import mmap
import os
import stat
from pathlib import Path

from hekla.base.errors import NotFoundError
from hekla.runtime.accounting import MemoryAccount
from hekla.runtime.errors import BoundsError, ChangedFileError, NoMemoryError, TruncatedFileError
from hekla.runtime.owner import PAGE_BYTES, Owner


class Access(enum.Enum):
    """What may be done with a mapped file; the file itself is never written."""

    READ = "read"
    COPY_ON_WRITE = "copy on write"  # a written page becomes this process's own


class Advice(enum.Enum):
    """What the system is told about a range. It may do nothing about it."""

    NORMAL = "MADV_NORMAL"
    WILL_NEED = "MADV_WILLNEED"
    SEQUENTIAL = "MADV_SEQUENTIAL"
    RANDOM = "MADV_RANDOM"
    DONT_NEED = "MADV_DONTNEED"  # written pages of COPY_ON_WRITE lose what was written


class MappedFile(Owner):
    """Owns the mapping of a whole file until `close`.

    expected_bytes: what the file must have at least, from a header or a manifest.
    Errors: NotFoundError where there is no plain file; TruncatedFileError; NoMemoryError when it cannot be mapped.
    A file that others shorten while it is mapped ends this process at the next touch (SIGBUS): write files
    beside their place and rename them. `check_unchanged` tells, cheaply, before a long read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        access: Access = Access.READ,
        expected_bytes: int = 0,
        account: MemoryAccount | None = None,
        kind: str = "mapped",
    ) -> None:
        self.path, self.access = Path(path), access
        try:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise NotFoundError(f"cannot be opened: {error.strerror}", where=str(self.path)) from error
        try:
            self._stat = os.fstat(descriptor)
            size = self._stat.st_size
            if not stat.S_ISREG(self._stat.st_mode):
                raise NotFoundError("is no plain file", where=str(self.path))
            if size < expected_bytes:
                raise TruncatedFileError(str(self.path), expected_bytes=expected_bytes, got_bytes=size)
            if account is not None:
                account.charge(kind, size)
            try:
                pages = _map(descriptor, size, access)
            except (OSError, ValueError) as error:
                if account is not None:
                    account.release(kind, size)
                raise NoMemoryError(f"cannot be mapped: {error}", asked_bytes=size, where=str(self.path)) from error
        finally:
            os.close(descriptor)
        super().__init__(str(self.path), pages, 0, size, account, kind)

    def advise(self, advice: Advice, start: int = 0, size: int | None = None) -> bool:
        """Tell the system how a range will be used; False where it does not listen.

        Errors: BoundsError, ReleasedError.
        """
        self._check_open()
        stop = self.size_bytes if size is None else start + size
        if not 0 <= start <= stop <= self.size_bytes:
            raise BoundsError(self.name, start=start, stop=stop, size=self.size_bytes)
        option = getattr(mmap, advice.value, None)
        if self._pages is None or option is None or start == stop:
            return False
        first = start // PAGE_BYTES * PAGE_BYTES
        try:
            self._pages.madvise(option, first, stop - first)
        except OSError:
            return False
        return True

    def prefetch(self, start: int = 0, size: int | None = None) -> bool:
        """Ask the system to read a range in the background. Errors: as `advise`."""
        return self.advise(Advice.WILL_NEED, start, size)

    def check_unchanged(self) -> None:
        """Raise ChangedFileError where the path no longer names the same file with the same size and time."""
        try:
            now = os.stat(self.path)
        except OSError as error:
            raise ChangedFileError("the mapped file is gone", where=str(self.path)) from error
        for what, was, is_now in (
            ("file", (self._stat.st_dev, self._stat.st_ino), (now.st_dev, now.st_ino)),
            ("size", self._stat.st_size, now.st_size),
            ("time", self._stat.st_mtime_ns, now.st_mtime_ns),
        ):
            if was != is_now:
                raise ChangedFileError(
                    f"the {what} changed while it was mapped, from {was} to {is_now}",
                    where=str(self.path),
                    cure="open it again; replace files by renaming",
                )


def _map(descriptor: int, size: int, access: Access) -> mmap.mmap | None:
    if size == 0:
        return None  # nothing can be mapped, and there is nothing to read
    return mmap.mmap(descriptor, size, access=mmap.ACCESS_READ if access is Access.READ else mmap.ACCESS_COPY)
