"""Memory that stands for files, by address: whether it is here, and asking for what will be read.

A page that is touched before it is here costs a wait for the disk; pages that were asked for come side by side.
"""

import ctypes
import mmap
from functools import cache

from hekla.runtime.owner import PAGE_BYTES

_WILL_NEED = getattr(mmap, "MADV_WILLNEED", None)


def ask_for(address: int, size: int) -> bool:
    """Ask the system to read what is mapped here, without waiting; False where it does not listen.

    Cost: a microsecond where it is here already, and five where it is not. Any address will do: what is not mapped is
    refused by the system, and what is mapped from no file is left alone.
    """
    library = _library()
    if library is None or _WILL_NEED is None or size <= 0:
        return False
    first = address - address % PAGE_BYTES
    return bool(library.madvise(first, address + size - first, _WILL_NEED) == 0)


def is_resident(address: int) -> bool:
    """Return whether the page of a mapped address can be read without the disk; True where the system will not say."""
    library = _library()
    if library is None:
        return True
    told = ctypes.c_ubyte(1)
    failed = library.mincore(address - address % PAGE_BYTES, 1, ctypes.addressof(told))
    return bool(failed != 0 or told.value & 1)


@cache
def _library() -> ctypes.PyDLL | None:
    """Return the C library, None where it lacks these calls. Its calls keep the interpreter's lock: they are short."""
    library = ctypes.PyDLL(None)
    try:
        library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        library.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    except AttributeError:
        return None
    return library
