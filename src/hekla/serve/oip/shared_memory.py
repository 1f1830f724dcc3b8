"""System shared-memory regions that clients register and then name instead of sending bytes.

A region is read and written through its file descriptor, not mapped: a client that shrinks its region meanwhile
makes a request fail, where a mapping would end the server with SIGBUS; and one that changes its bytes meanwhile
cannot change what was checked. The price is one copy, which is counted as such.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hekla.base.errors import ConflictError, InputError, NotFoundError, TooLargeError, quoted

_KEY = re.compile(r"/?[^/\0]{1,254}")
_MAX_REGIONS = 1024
_LARGEST_OFFSET = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Region:
    """A registered region: `byte_size` bytes from `offset` on in the shared-memory object `key`."""

    name: str
    key: str
    offset: int
    byte_size: int


@dataclass(frozen=True, slots=True)
class SharedRange:
    """Bytes of a registered region: where an input lies, or where an output is to be written."""

    region: str
    offset: int
    byte_size: int


def shared_range(parameters: Mapping[str, Any], where: str) -> SharedRange | None:  # Any: what a client sent
    """Return the bytes of a region that a tensor's parameters name, if they do. Errors: InputError."""
    region = parameters.get("shared_memory_region")
    if region is None:
        return None
    if not isinstance(region, str):
        raise InputError("must be a string", where=f"{where}.shared_memory_region")
    if "shared_memory_byte_size" not in parameters:
        raise InputError("is missing", where=f"{where}.shared_memory_byte_size")
    numbers = []
    for key in ("shared_memory_offset", "shared_memory_byte_size"):
        value = parameters.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InputError(f"must be a whole number of 0 or more, got {quoted(value)}", where=f"{where}.{key}")
        numbers.append(value)
    return SharedRange(region, *numbers)


class SharedMemoryRegions:
    """The regions registered now. `folder` is where the system keeps POSIX shared-memory objects as files."""

    def __init__(self, folder: Path = Path("/dev/shm")) -> None:  # the system's own place
        self._folder = folder
        self._regions: dict[str, tuple[Region, int]] = {}  # with the open file descriptor

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Open a region.

        Errors: InputError for a bad name, key or size; NotFoundError if there is no such object; ConflictError if
        the name is taken; TooLargeError above 1024 regions.
        """
        if not name:
            raise InputError("a region needs a name", where="name")
        if name in self._regions:
            raise ConflictError(f"shared memory region {name!r} is registered already", where="name")
        if len(self._regions) >= _MAX_REGIONS:
            raise TooLargeError("name", limit=f"{_MAX_REGIONS} regions", got="one more", cure="unregister some")
        if byte_size <= 0 or offset < 0 or offset + byte_size > _LARGEST_OFFSET:
            raise InputError(f"a region of {byte_size} bytes at {offset} does not exist", where="byte_size")
        descriptor = self._open(key)
        try:
            self._check_size(descriptor, key, offset + byte_size)
        except BaseException:
            os.close(descriptor)
            raise
        self._regions[name] = (Region(name, key, offset, byte_size), descriptor)

    def unregister(self, name: str = "") -> None:
        """Forget a region, all of them for ""; one that is not registered is no error."""
        for known in [name] if name else list(self._regions):
            found = self._regions.pop(known, None)
            if found is not None:
                os.close(found[1])

    def status(self, name: str = "") -> list[Region]:
        """Return the regions registered. Errors: NotFoundError for a name that is not."""
        return [self._find(name)[0]] if name else [region for region, _ in self._regions.values()]

    def read(self, name: str, offset: int, byte_size: int) -> memoryview:
        """Return a copy of `byte_size` bytes of a region, from `offset` on.

        Errors: NotFoundError for an unknown region; InputError for a range outside it, or outside what is left of it.
        """
        region, descriptor = self._find(name)
        _check_range(region, offset, byte_size)
        buffer = np.empty(byte_size, np.uint8).data
        filled = 0
        while filled < byte_size:
            count = os.preadv(descriptor, [buffer[filled:]], region.offset + offset + filled)
            if not count:
                raise InputError("has become smaller since it was registered", where=_place(name))
            filled += count
        return buffer.toreadonly()

    def write(self, name: str, offset: int, byte_size: int, data: memoryview) -> int:
        """Copy bytes into the `byte_size` bytes a client set aside in a region; return how many were written.

        Errors: NotFoundError for an unknown region; InputError for a range outside it, for data that do not fit,
        and for a region that may not be written.
        """
        region, descriptor = self._find(name)
        _check_range(region, offset, byte_size)
        if data.nbytes > byte_size:
            raise InputError(f"the output has {data.nbytes} bytes, {byte_size} are set aside", where=_place(name))
        start = region.offset + offset
        try:
            self._check_size(descriptor, region.key, start + data.nbytes)  # pwrite would make it grow again
            written = 0
            while written < data.nbytes:
                written += os.pwrite(descriptor, data[written:], start + written)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", where=_place(name)) from None
        return written

    def _find(self, name: str) -> tuple[Region, int]:
        found = self._regions.get(name)
        if found is None:
            raise NotFoundError("is not registered", where=_place(name))
        return found

    def _open(self, key: str) -> int:
        if not _KEY.fullmatch(key) or key.lstrip("/") in ("", ".", ".."):
            raise InputError(f"{key!r} is not the name of a shared-memory object", where="key")
        path = self._folder / key.removeprefix("/")
        flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            try:
                descriptor = os.open(path, os.O_RDWR | flags)
            except PermissionError:
                descriptor = os.open(path, os.O_RDONLY | flags)
        except FileNotFoundError:
            raise NotFoundError(f"there is no shared-memory object {key!r}", where="key") from None
        except OSError as error:
            raise InputError(f"cannot open shared-memory object {key!r}: {error.strerror}", where="key") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise InputError(f"{key!r} is not a shared-memory object", where="key")
        return descriptor

    @staticmethod
    def _check_size(descriptor: int, key: str, needed: int) -> None:
        size = os.fstat(descriptor).st_size
        if size < needed:
            raise InputError(f"shared-memory object {key!r} has {size} bytes, {needed} are needed", where="byte_size")


def _check_range(region: Region, offset: int, byte_size: int) -> None:
    if offset < 0 or byte_size < 0 or offset + byte_size > region.byte_size:
        raise InputError(
            f"bytes {offset} to {offset + byte_size} are outside its {region.byte_size} bytes",
            where=_place(region.name),
        )


def _place(name: str) -> str:
    return f"shared memory region {name!r}"
