"""DLPack both ways for every element type, bfloat16 among them, which NumPy's own exchange refuses.

NumPy makes and reads the capsules, so their owners are freed by native code; for bfloat16 only the type in
the capsule is rewritten. Source: dlpack.h of DLPack 1.0 (github.com/dmlc/dlpack).

    DLTensor                              DLManagedTensor     DLManagedTensorVersioned
    offset  size  meaning                 offset  meaning     offset  meaning
    0       8     data                    0       DLTensor    0       version: major u32, minor u32
    8       8     device: type i32, id i32 48     context     8       context
    16      4     dimensions i32          56      deleter     16      deleter
    20      4     type: code u8, bits u8, lanes u16           24      flags u64
    24      8     shape                                       32      DLTensor
    32      8     strides
    40      8     byte offset
"""

import ctypes
from typing import Any

import ml_dtypes
import numpy as np

from hekla.runtime.errors import LayoutError

CPU = 1
UINT, BFLOAT = 1, 4
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
NAME, VERSIONED_NAME = b"dltensor", b"dltensor_versioned"
CODE_OFFSET, BITS_OFFSET, VERSIONED_START = 20, 21, 32

_api = ctypes.PyDLL(None)  # a handle of our own: argument types set here bind nobody else
_is_valid, _get_pointer = _api.PyCapsule_IsValid, _api.PyCapsule_GetPointer
_is_valid.argtypes, _is_valid.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_int
_get_pointer.argtypes, _get_pointer.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p


class _Given:
    """Hands on a capsule somebody made already."""

    def __init__(self, capsule: Any) -> None:  # Any: a PyCapsule, which has no type
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:  # Any: see above; the options were answered by the maker
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (CPU, 0)


def give(array: "np.ndarray[Any, Any]", options: dict[str, Any]) -> Any:  # Any: DLPack's options, and a PyCapsule
    """Return a capsule of an array, as `__dlpack__(**options)` must.

    Errors: BufferError, as the protocol wants: read-only memory for a reader of DLPack below 1.0, another device.
    """
    if array.dtype != BFLOAT16:
        return array.__dlpack__(**options)
    capsule = array.view(np.uint16).__dlpack__(**options)
    _set_code(capsule, BFLOAT)
    return capsule


def take(given: Any, where: str) -> "np.ndarray[Any, Any]":  # Any: whatever has __dlpack__
    """Return another library's array over the same memory. Errors: LayoutError naming `where`."""
    device = tuple(int(part) for part in given.__dlpack_device__())
    if device[0] != CPU:
        raise LayoutError(f"the array is on DLPack device {device}", where=where, cure="move it to the CPU")
    try:
        capsule = _capsule_of(given)
        is_bfloat = _element(capsule) == (BFLOAT, 16)
        if is_bfloat:
            _set_code(capsule, UINT)
        array = np.from_dlpack(_Given(capsule))
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise LayoutError(f"cannot be read through DLPack: {error}", where=where) from error
    return array.view(BFLOAT16) if is_bfloat else array


def _capsule_of(given: Any) -> Any:  # Any: see take
    try:
        return given.__dlpack__(max_version=(1, 0))
    except TypeError:  # made before DLPack 1.0
        return given.__dlpack__()


def _tensor_address(capsule: Any) -> int:  # Any: a PyCapsule
    if _is_valid(capsule, VERSIONED_NAME):
        return int(_get_pointer(capsule, VERSIONED_NAME)) + VERSIONED_START
    if _is_valid(capsule, NAME):
        return int(_get_pointer(capsule, NAME))
    raise TypeError("not a fresh DLPack capsule")


def _element(capsule: Any) -> tuple[int, int]:  # Any: a PyCapsule
    base = _tensor_address(capsule)
    at = ctypes.c_uint8.from_address
    return at(base + CODE_OFFSET).value, at(base + BITS_OFFSET).value


def _set_code(capsule: Any, code: int) -> None:  # Any: a PyCapsule
    ctypes.c_uint8.from_address(_tensor_address(capsule) + CODE_OFFSET).value = code
