"""Tensors as ONNX Runtime takes and answers them: where NumPy has no own word for an element type, by hand."""

import ctypes
import math
from typing import Any

import numpy as np
import onnxruntime as ort

from hekla.base.dtypes import DType
from hekla.base.errors import InputError
from hekla.protocols.tensor import Array

# ONNX Runtime's type names; those missing have no name in the Open Inference Protocol.
FROM_ORT = {
    "tensor(bool)": DType.BOOL,
    "tensor(uint8)": DType.UINT8,
    "tensor(uint16)": DType.UINT16,
    "tensor(uint32)": DType.UINT32,
    "tensor(uint64)": DType.UINT64,
    "tensor(int8)": DType.INT8,
    "tensor(int16)": DType.INT16,
    "tensor(int32)": DType.INT32,
    "tensor(int64)": DType.INT64,
    "tensor(float16)": DType.FP16,
    "tensor(bfloat16)": DType.BF16,
    "tensor(float)": DType.FP32,
    "tensor(double)": DType.FP64,
    "tensor(string)": DType.BYTES,
}
BFLOAT16 = 16  # onnx.TensorProto.BFLOAT16


def native(array: Array, dtype: DType) -> Array:
    """Return the array itself if it is C-contiguous, aligned and in this machine's byte order; else a copy that is."""
    return np.require(array, dtype.numpy, ["C_CONTIGUOUS", "ALIGNED"])


def ort_value(array: Array, onnx_type: int | None = None) -> Any:  # ort.OrtValue is untyped
    """Return an OrtValue on the memory of a `native` array, of the ONNX type if one of equal size is given."""
    if onnx_type is None:
        return ort.OrtValue.ortvalue_from_numpy(array)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, onnx_type)


def from_ort_value(value: Any) -> Array:  # ort.OrtValue is untyped
    """Return a copy of the value as an array (BYTES: of bytes objects)."""
    if value.element_type() != BFLOAT16:
        array: Array = value.numpy()
        return bytes_of_text(array) if array.dtype == object else array.copy()
    shape = tuple(value.shape())
    size = math.prod(shape) * DType.BF16.itemsize
    if size == 0:
        return np.empty(shape, DType.BF16.numpy)
    memory = (ctypes.c_char * size).from_address(value.data_ptr())  # `value` keeps it alive until the copy is made
    return np.frombuffer(memory, DType.BF16.numpy).reshape(shape).copy()


def text_of_bytes(name: str, array: Array) -> Array:
    """Return the BYTES array as `str` objects. Errors: InputError for an element that is not UTF-8.

    ONNX Runtime would call str() on bytes objects, which gives "b'...'".
    """
    texts = np.empty(array.size, np.object_)
    for index, item in enumerate(array.ravel().tolist()):
        try:
            texts[index] = item if isinstance(item, str) else bytes(item).decode()
        except (UnicodeDecodeError, TypeError) as error:
            raise InputError(
                f"element {index} is not UTF-8: {error}", where=f"input {name!r}", cure="ONNX strings hold UTF-8 text"
            ) from None
    return texts.reshape(array.shape)


def bytes_of_text(array: Array) -> Array:
    """Return the array of `str` objects as UTF-8 `bytes` objects."""
    found = np.empty(array.size, np.object_)
    for index, item in enumerate(array.ravel().tolist()):
        found[index] = item.encode()
    return found.reshape(array.shape)
