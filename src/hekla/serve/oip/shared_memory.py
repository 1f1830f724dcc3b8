"""System shared memory: tensors that never cross the socket (the Open Inference Protocol's shared-memory extension).

A region is a window of a POSIX shared-memory object that a client on this machine made (`shm_open`, found under
/dev/shm). The sizes a client states are checked against the object itself: touching a page beyond its end would
kill the server (SIGBUS), and so would an object that shrinks later, so each use checks again.
"""

import mmap
import os
import stat
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hekla.base.errors import ConflictError, InputError, NotFoundError, nearest_name

_OBJECTS = Path("/dev/shm")  # where Linux shows POSIX shared memory
_NAME_BYTES = 255


@dataclass(frozen=True, slots=True)
class _Region:
    name: str
    key: str
    offset: int
    byte_size: int
    file: int
    memory: mmap.mmap

    def check(self) -> None:
        if os.fstat(self.file).st_size < self.offset + self.byte_size:
            raise InputError(f"the object {self.key!r} has shrunk", where=f"shared memory region {self.name!r}")


class SharedMemoryRegions:
    """The regions clients registered, by name. Lives on the event loop."""

    def __init__(self, objects: Path = _OBJECTS) -> None:
        self._objects = objects
        self._regions: MutableMapping[str, _Region] = {}

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Map a region.

        Errors: InputError for a key that is no shared-memory object or a window beyond its end; ConflictError for
        a name that is registered.
        """
        where = f"shared memory region {name!r}"
        if not name or len(name) > _NAME_BYTES:
            raise InputError(f"a name has 1 to {_NAME_BYTES} characters", where="shared memory region")
        if name in self._regions:
            raise ConflictError("is registered already", where=where, cure="unregister it first")
        if offset < 0 or byte_size <= 0:
            raise InputError(f"offset {offset} and byte_size {byte_size} are not a window", where=where)
        plain = key.removeprefix("/")
        if not plain or "/" in plain or "\0" in plain or plain in (".", "..") or len(plain) > _NAME_BYTES:
            raise InputError(f"{key!r} is not the name of a shared-memory object", where=f"{where}.key")
        try:
            file = os.open(self._objects / plain, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, UnicodeEncodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise InputError(f"cannot open the object {key!r}: {reason}", where=f"{where}.key") from None
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{key!r} is not a shared-memory object", where=f"{where}.key")
            if offset + byte_size > status.st_size:
                raise InputError(
                    f"offset {offset} + byte_size {byte_size} is beyond the end of {key!r}, {status.st_size} bytes",
                    where=where,
                )
            memory = mmap.mmap(file, offset + byte_size)
        except BaseException:
            os.close(file)
            raise
        self._regions[name] = _Region(name, key, offset, byte_size, file, memory)

    def unregister(self, name: str = "") -> None:
        """Forget a region, or all of them for "". One that is not there is fine, as with Triton."""
        for gone in [name] if name else list(self._regions):
            region = self._regions.pop(gone, None)
            if region is not None:
                os.close(region.file)
                # The mapping itself goes when the last array that views it does.

    def status(self, name: str = "") -> list[Mapping[str, Any]]:
        """Return name, key, offset and byte_size of a region, or of all. Errors: NotFoundError."""
        chosen = [self._find(name)] if name else [self._regions[key] for key in sorted(self._regions)]
        return [{"name": r.name, "key": r.key, "offset": r.offset, "byte_size": r.byte_size} for r in chosen]

    def read(self, name: str, offset: int, byte_size: int) -> memoryview:
        """Return a view of `byte_size` bytes (0: the rest) of a region. Errors: NotFoundError, InputError."""
        return self._window(name, offset, byte_size).toreadonly()

    def write(self, name: str, offset: int, byte_size: int, data: memoryview) -> int:
        """Copy data into a region, into at most `byte_size` bytes (0: the rest); return how many were written.

        Errors: NotFoundError; InputError if it does not fit.
        """
        window = self._window(name, offset, byte_size)
        if len(data) > len(window):
            raise InputError(
                f"the output has {len(data)} bytes, the window {len(window)}", where=f"shared memory region {name!r}"
            )
        window[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Forget everything."""
        self.unregister()

    def _find(self, name: str) -> _Region:
        region = self._regions.get(name)
        if region is None:
            raise NotFoundError(
                f"unknown shared memory region {name!r}", cure=nearest_name(name, self._regions) or "register it first"
            )
        return region

    def _window(self, name: str, offset: int, byte_size: int) -> memoryview:
        region = self._find(name)
        region.check()
        end = offset + (byte_size or region.byte_size - offset)
        if offset < 0 or byte_size < 0 or end > region.byte_size:
            raise InputError(
                f"offset {offset} + byte_size {byte_size} is beyond its end, {region.byte_size} bytes",
                where=f"shared memory region {name!r}",
            )
        return memoryview(region.memory)[region.offset + offset : region.offset + end]
