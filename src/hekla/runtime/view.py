"""Typed views: memory of ours or of another library as an array, without a copy."""

import math
from typing import Any

import ml_dtypes  # noqa: F401  gives NumPy the name "bfloat16"
import numpy as np

from hekla.runtime import dlpack
from hekla.runtime.errors import BoundsError, LayoutError
from hekla.runtime.owner import Owner

Array = np.ndarray[Any, Any]  # Any: shape and element type are known at run time only


def view_of(owner: Owner, dtype: "np.dtype[Any] | str", shape: tuple[int, ...], *, offset: int = 0) -> "View":
    """Return a dense row-major view of bytes of a buffer or a mapped file; it keeps its owner from being closed.

    Units: `offset` in bytes, a multiple of the element's alignment.
    Errors: BoundsError past the end, LayoutError for a negative size or a misaligned offset, ReleasedError.
    """
    kind = np.dtype(dtype)
    if any(extent < 0 for extent in shape) or kind.hasobject:
        raise LayoutError(f"memory cannot hold {kind} of shape {list(shape)}", where=owner.name)
    if offset % kind.alignment:
        raise LayoutError(
            f"offset {offset} is not a multiple of the {kind.alignment} bytes {kind} is aligned to",
            where=owner.name,
            cure="copy the bytes",
        )
    size = math.prod(shape) * kind.itemsize
    if not 0 <= offset <= offset + size <= owner.size_bytes:
        raise BoundsError(owner.name, start=offset, stop=offset + size, size=owner.size_bytes)
    return View(np.frombuffer(owner.memory(offset, size), dtype=kind).reshape(shape))


class View:
    """An array over memory somebody else owns; `of` takes anything, DLPack and NumPy read it back.

    The owner lives as long as any view of it, whichever library holds the view. Writing through a view of
    read-only memory is refused by NumPy, and by every DLPack reader that knows the flag (DLPack 1.0).
    """

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    @staticmethod
    def of(given: Any, *, where: str = "") -> "View":  # Any: whatever has DLPack, the buffer protocol or NumPy's
        """Return a view of an array of any library on the CPU.

        Errors: LayoutError naming `where` for another device, or for something that is no array.
        """
        if isinstance(given, View):
            return given
        if isinstance(given, np.ndarray):
            return View(given.view(np.ndarray))
        if hasattr(given, "__dlpack__"):
            return View(dlpack.take(given, where))
        try:
            return View(np.asarray(memoryview(given)))
        except TypeError:
            raise LayoutError(
                f"{type(given).__name__} is no array", where=where, cure="pass an array, or bytes-like memory"
            ) from None

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The element type."""
        kind: np.dtype[Any] = self.array.dtype
        return kind

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents, outermost first."""
        return tuple(self.array.shape)

    @property
    def strides_bytes(self) -> tuple[int, ...]:
        """How far apart neighbours along each dimension lie."""
        return self.array.strides

    @property
    def is_read_only(self) -> bool:
        """True where nobody may write through this view."""
        return not self.array.flags.writeable

    @property
    def address(self) -> int:
        """Where the first element lies."""
        return int(self.array.ctypes.data)

    def is_aligned_to(self, alignment: int) -> bool:
        """True where the first element lies on a multiple of `alignment` bytes."""
        return self.address % alignment == 0

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # Any: NumPy's own protocol
        return np.asarray(self.array, dtype=dtype, copy=copy)

    def __buffer__(self, flags: int) -> memoryview:  # read by Python 3.12 and later
        return self.array.data

    def __dlpack__(self, **options: Any) -> Any:  # Any: a PyCapsule, which has no type
        return dlpack.give(self.array, options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (dlpack.CPU, 0)

    def __repr__(self) -> str:
        access = "read-only " if self.is_read_only else ""
        return f"<{access}view of {self.dtype} {list(self.shape)}>"
