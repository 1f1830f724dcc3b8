"""Tensors as the Open Inference Protocol writes them, to NumPy and back: one definition for REST and gRPC.

Raw tensors are the elements in row-major order, little-endian, without padding (Hekla runs on little-endian
machines only). A BYTES tensor is one record per element:

    offset  size    meaning
    0       4       length n of the element, u32 little-endian
    4       n       the element

`where` is how errors name the tensor: `$.inputs[0]`, `input 'pixels'`.
"""

import struct
from collections.abc import Iterator, Sequence

import numpy as np

from hekla.base.dtypes import DType
from hekla.base.errors import DtypeError, EngineError, InputError, ShapeError, quoted
from hekla.protocols.tensor import Array

Buffer = bytes | bytearray | memoryview

MAX_RANK = 64  # NumPy's own limit
_MAX_ELEMENTS = 1 << 59  # times 8 bytes each is what an address can count
_LENGTH = struct.Struct("<I")


class CopyCount:
    """How many payload bytes were copied between the door's buffers and the arrays handed on."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


def check_shape(where: str, shape: Sequence[int]) -> int:
    """Return the number of elements of a shape.

    Errors: ShapeError for an extent that is not a non-negative integer, more than 64 axes, or a product
    no memory could hold; extents of 0 do not hide the others.
    """
    if len(shape) > MAX_RANK:
        raise ShapeError(f"{where}.shape", expected=f"at most {MAX_RANK} axes", got=f"{len(shape)} axes")
    count = 1
    nonzero = 1
    for extent in shape:
        if type(extent) is not int or extent < 0:
            raise ShapeError(f"{where}.shape", expected="extents that are integers of 0 or more", got=tuple(shape))
        count *= extent
        nonzero *= extent or 1
    if nonzero >= _MAX_ELEMENTS:
        raise ShapeError(f"{where}.shape", expected=f"fewer than {_MAX_ELEMENTS} elements", got=tuple(shape))
    return count


def dtype_named(where: str, name: str) -> DType:
    """Return the element type a request names. Errors: DtypeError listing the known ones."""
    try:
        return DType(name)
    except ValueError:
        known = ", ".join(dtype.value for dtype in DType)
        raise DtypeError(f"{where}.datatype", expected=f"one of {known}", got=quoted(name)) from None


class RawLayout:
    """Where and how a raw tensor lies in a buffer: checked once, then decoded for every request that repeats it."""

    __slots__ = ("_count", "_numpy", "dtype", "shape", "size_bytes", "where")

    def __init__(self, where: str, dtype: DType, shape: Sequence[int]) -> None:
        """Errors: ShapeError for a shape that no memory holds."""
        self.where, self.dtype, self.shape = where, dtype, tuple(shape)
        self._count = check_shape(where, shape)
        self._numpy = dtype.numpy
        self.size_bytes = self._count * dtype.itemsize  # 0 for BYTES, whose size only the buffer says

    def decode(self, buffer: Buffer, start: int, size: int, copies: CopyCount | None = None) -> Array:
        """Return the array in buffer[start : start + size]; see `decode_raw`."""
        if self.dtype is DType.BYTES:
            if copies is not None:
                copies.bytes += size
            return decode_bytes_tensor(self.where, self.shape, memoryview(buffer)[start : start + size])
        if size != self.size_bytes:
            raise InputError(
                f"expected {self.size_bytes} bytes for {self.dtype.value} of shape {list(self.shape)}, got {size}",
                where=self.where,
            )
        if not size:
            return np.empty(self.shape, self._numpy)
        array: Array = np.frombuffer(buffer, self._numpy, self._count, start)
        flags = array.flags
        if not flags.aligned:
            if copies is not None:
                copies.bytes += size
            array = array.copy()
            flags = array.flags
        if self.dtype is DType.BOOL and array.view(np.uint8).max() > 1:
            raise InputError("a BOOL element is one byte, 0 or 1", where=self.where)
        if flags.writeable:
            flags.writeable = False
        return array.reshape(self.shape)


def decode_raw(
    where: str, dtype: DType, shape: Sequence[int], buffer: Buffer, copies: CopyCount | None = None
) -> Array:
    """Return the array a raw tensor holds: a read-only view of the buffer where its alignment allows.

    Ownership: the view keeps the buffer alive; the caller must not change the buffer while the array is in use.
    Cost: nothing is copied, except misaligned tensors and BYTES; the bytes copied are added to `copies`.
    Errors: ShapeError for a bad shape; InputError where the byte count is not what shape and datatype
    need, for a BOOL byte that is neither 0 nor 1, and for broken BYTES records.
    """
    size = buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
    return RawLayout(where, dtype, shape).decode(buffer, 0, size, copies)


def encode_raw(array: Array) -> memoryview:
    """Return the raw tensor of an array as a flat view of bytes; copies only what is not contiguous, and BYTES.

    Errors: EngineError for an array the protocol cannot carry (complex numbers, objects that are not bytes or str).
    """
    if array.dtype.kind in "OSU":
        return memoryview(encode_bytes_tensor(array))
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def decode_bytes_tensor(where: str, shape: Sequence[int], buffer: Buffer) -> Array:
    """Return an object array of `bytes` from length-prefixed records.

    Errors: InputError where a record ends beyond the buffer or the number of records is not what the shape needs.
    """
    raw = buffer if type(buffer) is bytes else bytes(buffer)
    unpack = _LENGTH.unpack_from
    elements: list[bytes] = []
    append = elements.append
    position, end = 0, len(raw)
    try:
        while position < end:
            start = position + 4
            position = start + unpack(raw, position)[0]
            append(raw[start:position])
    except struct.error:
        position = -1
    if position != end:
        raise InputError(f"BYTES record {max(len(elements) - (position > end), 0)} runs past the end", where=where)
    return bytes_array(where, shape, elements)


def bytes_array(where: str, shape: Sequence[int], elements: Sequence[bytes]) -> Array:
    """Return an object array of the elements. Errors: InputError where their number is not what the shape needs."""
    count = check_shape(where, shape)
    if len(elements) != count:
        raise InputError(f"expected {count} elements for shape {list(shape)}, got {len(elements)}", where=where)
    array: Array = np.empty(count, np.object_)
    array[:] = elements
    return array.reshape(shape)


def encode_bytes_tensor(array: Array) -> bytes:
    """Return the length-prefixed records of an array of bytes or str (str becomes UTF-8).

    Errors: EngineError for an element that is neither.
    """
    pack = _LENGTH.pack
    parts: list[bytes] = []
    append = parts.append
    for element in array.reshape(-1).tolist():
        record = element_bytes(element)
        append(pack(len(record)))
        append(record)
    return b"".join(parts)


def element_bytes(element: object) -> bytes:
    """Return one element of a BYTES output as bytes. Errors: EngineError unless it is bytes or str."""
    if isinstance(element, bytes):
        return element
    if isinstance(element, str):
        return element.encode()
    if isinstance(element, bytearray | memoryview):
        return bytes(element)
    raise EngineError(f"an element of a BYTES output is a {type(element).__name__}, not bytes or str")


def decode_values(where: str, dtype: DType, shape: Sequence[int], values: Sequence[object]) -> Array:
    """Return the array of a tensor written as numbers: JSON `data` (flat or nested) or typed gRPC contents.

    BYTES takes str (as UTF-8) or bytes. BOOL takes booleans only, integers take no fractions, and every value must
    fit its type: nothing wraps around or becomes infinite in silence.
    Errors: InputError and ShapeError naming the tensor.
    """
    count = check_shape(where, shape)
    if dtype is DType.BYTES:
        return bytes_array(where, shape, [_text_bytes(where, value) for value in _flat(where, values, MAX_RANK)])
    if not _element_types(where, values, MAX_RANK) <= _ACCEPTED_TYPES[dtype]:
        raise InputError(f"the data of a {dtype.value} tensor must be {_described(dtype)}", where=where)
    try:
        with np.errstate(over="ignore"):  # found below, by name
            array: Array = np.array(values, dtype.numpy)
    except OverflowError:
        raise InputError(f"a value does not fit {dtype.value}", where=where) from None
    except ValueError as error:
        raise InputError(f"the data are not a regular array of numbers: {error}", where=where) from None
    if array.size != count:
        raise InputError(f"expected {count} elements for shape {list(shape)}, got {array.size}", where=where)
    if dtype.is_float and not np.isfinite(array).all():
        _refuse_overflow(where, dtype, array, values)
    return array.reshape(shape)


def _refuse_overflow(where: str, dtype: DType, array: Array, values: Sequence[object]) -> None:
    """Infinities and NaN are fine where they were sent, not where a number became one."""
    if not np.array_equal(np.isfinite(array), np.isfinite(np.array(values, np.float64))):
        raise InputError(f"a value is too large for {dtype.value}", where=where)


def _element_types(where: str, values: Sequence[object], depth: int) -> set[type]:
    types: set[type] = set(map(type, values))
    if list in types:
        if not depth:
            raise InputError(f"the data are nested more than {MAX_RANK} deep", where=where)
        types.discard(list)
        for value in values:
            if isinstance(value, list):
                types |= _element_types(where, value, depth - 1)
    return types


def _described(dtype: DType) -> str:
    if dtype is DType.BOOL:
        return "booleans"
    return "numbers" if dtype.is_float else "integers"


_ACCEPTED_TYPES: dict[DType, frozenset[type]] = {
    dtype: frozenset({float, int} if dtype.is_float else {bool} if dtype is DType.BOOL else {int}) for dtype in DType
}


def _flat(where: str, values: Sequence[object], depth: int) -> Iterator[object]:
    if not depth:
        raise InputError(f"the data are nested more than {MAX_RANK} deep", where=where)
    for value in values:
        if isinstance(value, list):
            yield from _flat(where, value, depth - 1)
        else:
            yield value


def _text_bytes(where: str, value: object) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise InputError("a BYTES element is not valid Unicode text", where=where) from None
    if isinstance(value, bytes):
        return value
    raise InputError(f"the data of a BYTES tensor must be strings, got {type(value).__name__}", where=where)
