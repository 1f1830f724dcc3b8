"""Linked code as it lies in memory: made once from an object file, kept on disk, mapped and corrected in microseconds.

Code and constants come first, then, from a page of its own, what is written: tables, data, zeros.
"""

import ctypes
import mmap
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

from hekla.base.errors import UnsupportedError

Export = tuple[str, int]  # name, offset
Import = tuple[int, str, int]  # where to write the address of a function of this process, its name, what to add
Relative = tuple[int, int]  # where to write an address within the image, its offset


@dataclass(frozen=True, slots=True)
class Image:
    """Linked code. `content` is followed by zeros up to `size`; the first `code_size` bytes are never written to."""

    content: bytes
    size: int
    code_size: int
    exports: tuple[Export, ...]
    imports: tuple[Import, ...] = ()
    relative: tuple[Relative, ...] = ()

    def to_json(self) -> list[Any]:  # Any: texts, numbers, lists of these
        """Return all but the content, as `from_json` takes it."""
        return [self.size, self.code_size, self.exports, self.imports, self.relative]

    @staticmethod
    def from_json(given: list[Any], content: bytes) -> "Image":  # Any: see to_json
        """Return what `to_json` was asked of."""
        size, code_size, *tables = given
        exports, imports, relative = (tuple(tuple(row) for row in table) for table in tables)
        return Image(content, size, code_size, exports, imports, relative)


class ImageInMemory:
    """An image mapped into this process, ready to run. The memory is given back with this object."""

    def __init__(self, image: Image) -> None:
        """Errors: UnsupportedError where this process lacks a function, or may not run code it has written."""
        self._memory = mmap.mmap(-1, image.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._memory[: len(image.content)] = image.content
        self._first = ctypes.c_char.from_buffer(self._memory)  # holds the mapping in place
        base = ctypes.addressof(self._first)
        for place, offset in image.relative:
            struct.pack_into("<Q", self._memory, place, base + offset)
        for place, name, addend in image.imports:
            struct.pack_into("<Q", self._memory, place, _address_of(name) + addend)
        # Linux makes the instruction cache see pages when they first become executable, on every processor.
        library = _process()
        if library.mprotect(ctypes.c_void_p(base), ctypes.c_size_t(image.code_size), mmap.PROT_READ | mmap.PROT_EXEC):
            raise UnsupportedError(
                f"this process may not run code that it has written (mprotect: error {ctypes.get_errno()})",
                cure="allow executable memory for it",
            )
        self.addresses = {name: base + offset for name, offset in image.exports}


@cache
def _process() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _address_of(name: str) -> int:
    try:
        found = getattr(_process(), name)
    except AttributeError:
        raise UnsupportedError(f"the code needs the function {name}, which this process lacks") from None
    return ctypes.cast(found, ctypes.c_void_p).value or 0
