"""Every change a collection makes to its folder goes through here: the one place where a crash can fall between.

Write a file whole: `write_new` (its bytes and its name are on disk when it returns). Make it count: `rename`.
Log: `open_log`, `append`, `reserve`, `begin_sync`, `sync`. Tests put a disk in this one's place that dies, or forgets
what was not synced, at the n-th call.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from hekla.vector.errors import DiskError

_REASONS = {
    errno.ENOSPC: "make room on the disk; what was acknowledged is safe and searches go on",
    errno.EDQUOT: "raise the quota; what was acknowledged is safe and searches go on",
    errno.EROFS: "open the collection read-only, or mount the file system for writing",
    errno.EACCES: "give this user the right to write there",
}
_PLENTY = 256  # room is made beforehand on disks that have this many times as much left
_AT_ONCE = 4 << 20  # bytes of a large file that are written between two syncs


class Disk:
    """The file system, as far as a collection uses it. Any thread."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder and its name durable; one that exists is fine. Errors: DiskError."""
        with telling_of(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.sync_folder(folder.parent)

    def write_new(self, path: Path, pieces: Iterable[bytes | memoryview]) -> int:
        """Write a file whole, beside its place, sync it and give it its name; return its bytes. Errors: DiskError."""
        beside = path.with_name(f".{path.name}.part")
        try:
            with telling_of(path):
                descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
                try:
                    size = 0
                    unsynced = 0
                    for piece in pieces:
                        for part in _parts(piece):
                            if unsynced >= _AT_ONCE:  # a batch that is synced meanwhile waits for little
                                self.sync(descriptor)
                                unsynced = 0
                            written = self.write(descriptor, part, size)
                            size, unsynced = size + written, unsynced + written
                    self.sync(descriptor)
                finally:
                    os.close(descriptor)
                self.rename(beside, path)
                self.sync_folder(path.parent)
        except DiskError:
            with contextlib.suppress(OSError):  # it is removed at the next opening
                beside.unlink(missing_ok=True)
            raise
        return size

    def open_log(self, path: Path) -> int:
        """Open a file for writing and return its descriptor. Errors: DiskError."""
        with telling_of(path):
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def append(self, descriptor: int, path: Path, at: int, data: bytes) -> None:
        """Write bytes at a place behind which nothing counts, all or none. Errors: DiskError; the file ends there."""
        try:
            self.write(descriptor, data, at)
        except OSError as error:
            self.truncate(descriptor, path, at)
            raise disk_error(path, error) from error

    def reserve(self, descriptor: int, path: Path, at: int, size: int) -> bool:
        """Make room of zeros at a file's end, so that what is written there later changes no length and no block list.

        False, and nothing was done, where the disk has little room: a write must not be refused for want of this.
        """
        try:
            disk = os.fstatvfs(descriptor)
            if disk.f_bavail * disk.f_frsize < _PLENTY * size:
                return False
            self.write(descriptor, bytes(size), at)
        except OSError:
            with contextlib.suppress(DiskError):  # zeros at the end mean nothing
                self.truncate(descriptor, path, at)
            return False
        return True

    def write(self, descriptor: int, data: bytes | memoryview, at: int) -> int:
        """Write all of the bytes at a place."""
        size = done = os.pwrite(descriptor, data, at)
        if size < memoryview(data).nbytes:
            rest = memoryview(data).cast("B")
            size = len(rest)
            while done < size:
                done += os.pwrite(descriptor, rest[done:], at + done)
        return size

    def begin_sync(self, descriptor: int, at: int, size: int) -> None:
        """Send bytes on their way to the disk, so that `sync` has less to wait for. Promises nothing."""
        # "Not needed in memory any more": Linux begins to write what is dirty at once, and does not wait.
        os.posix_fadvise(descriptor, at, size, os.POSIX_FADV_DONTNEED)

    def sync(self, descriptor: int) -> None:
        """Return once the file's bytes are on disk. Raises OSError: the bytes may be lost, whatever comes later."""
        os.fdatasync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Return once the names in a folder are on disk."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def truncate(self, descriptor: int, path: Path, size: int) -> None:
        """Cut a file to a size. Errors: DiskError."""
        with telling_of(path):
            os.ftruncate(descriptor, size)

    def size(self, descriptor: int) -> int:
        """Return the bytes of an open file."""
        return os.fstat(descriptor).st_size

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, in place of what has it."""
        os.replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name. Errors: DiskError."""
        with telling_of(target):
            os.link(source, target)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there. Errors: DiskError."""
        with telling_of(path):
            path.unlink(missing_ok=True)

    def remove_folder(self, folder: Path) -> None:
        """Remove a folder and all in it. Errors: DiskError."""
        with telling_of(folder):
            shutil.rmtree(folder)


def _parts(piece: bytes | memoryview) -> Iterable[bytes | memoryview]:
    """Return a piece in parts that are written at once."""
    if len(piece) <= _AT_ONCE:
        return (piece,)
    flat = memoryview(piece).cast("B")
    return (flat[at : at + _AT_ONCE] for at in range(0, len(flat), _AT_ONCE))


def disk_error(path: Path, error: OSError) -> DiskError:
    """Return what the system said of a file as words with a cure."""
    cure = _REASONS.get(error.errno or 0, "look at the disk; what was acknowledged stays")
    return DiskError(f"cannot be written: {error.strerror}", where=str(path), cure=cure)


class telling_of:  # reads as words where it is used
    """Turns the system's errors into DiskError with a cure."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise disk_error(self._path, error) from error
