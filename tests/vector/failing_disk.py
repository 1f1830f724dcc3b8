"""A disk whose n-th call fails, and all after it until it is mended: full, as the system says it."""

import errno
import os
from pathlib import Path

from hekla.vector.disk import Disk, telling_of


class FullAt(Disk):
    """Refuses from the n-th call on; a write that is refused has written a part."""

    def __init__(self, failing_call: int) -> None:
        self.left = failing_call
        self.is_full = False

    def mend(self) -> None:
        """Have room again."""
        self.left, self.is_full = 1 << 30, False

    def _call(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.is_full = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, descriptor: int, data: bytes | memoryview, at: int) -> int:
        try:
            if any(memoryview(data).cast("B")[:64]):  # what fills up pages does not count: it is like what it follows
                self._call()
        except OSError:
            half = memoryview(data).cast("B")
            super().write(descriptor, half[: len(half) // 2], at)
            raise
        return super().write(descriptor, data, at)

    def sync(self, descriptor: int) -> None:
        self._call()
        super().sync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        self._call()
        super().sync_folder(folder)

    def rename(self, source: Path, target: Path) -> None:
        self._call()
        super().rename(source, target)

    def truncate(self, descriptor: int, path: Path, size: int) -> None:
        with telling_of(path):
            self._call()
        super().truncate(descriptor, path, size)

    def link(self, source: Path, target: Path) -> None:
        with telling_of(target):
            self._call()
        super().link(source, target)

    def remove(self, path: Path) -> None:
        with telling_of(path):
            self._call()
        super().remove(path)
