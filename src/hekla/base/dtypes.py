"""Element types, named as the Open Inference Protocol names them."""

import enum
from typing import Any

import ml_dtypes
import numpy as np


class DType(enum.Enum):
    """An element type; the value is its name on the wire."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    BF16 = "BF16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"

    numpy: "np.dtype[Any]"
    itemsize: int

    @property
    def is_float(self) -> bool:
        """True for FP16, BF16, FP32 and FP64."""
        return self in _FLOATS

    @staticmethod
    def of(dtype: "np.dtype[Any]") -> "DType":
        """Return the element type of a NumPy dtype (bytes, str and object arrays are BYTES).

        Errors: KeyError for a dtype the protocol has no name for, complex numbers say.
        """
        found = _OF_NUMPY.get(dtype)
        if found is not None:
            return found
        return DType.BYTES if dtype.kind in "SU" else _OF_NUMPY[dtype.newbyteorder("=")]


_NUMPY: dict[DType, "np.dtype[Any]"] = {
    DType.BOOL: np.dtype(np.bool_),
    DType.UINT8: np.dtype(np.uint8),
    DType.UINT16: np.dtype(np.uint16),
    DType.UINT32: np.dtype(np.uint32),
    DType.UINT64: np.dtype(np.uint64),
    DType.INT8: np.dtype(np.int8),
    DType.INT16: np.dtype(np.int16),
    DType.INT32: np.dtype(np.int32),
    DType.INT64: np.dtype(np.int64),
    DType.FP16: np.dtype(np.float16),
    DType.BF16: np.dtype(ml_dtypes.bfloat16),
    DType.FP32: np.dtype(np.float32),
    DType.FP64: np.dtype(np.float64),
    DType.BYTES: np.dtype(np.object_),
}
_FLOATS = frozenset({DType.FP16, DType.BF16, DType.FP32, DType.FP64})

for _dtype, _numpy in _NUMPY.items():
    _dtype.numpy = _numpy
    # BYTES elements have no fixed size; their arrays hold Python `bytes` objects.
    _dtype.itemsize = 0 if _dtype is DType.BYTES else _numpy.itemsize

_OF_NUMPY = {numpy: dtype for dtype, numpy in _NUMPY.items()}
