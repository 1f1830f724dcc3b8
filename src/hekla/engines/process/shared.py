"""Tensors in memory that two processes share: one side writes, the other reads.

The memory is a file without a name that grows and never shrinks (sealed so, where the system can: a worker that
shrank it would kill its reader with SIGBUS). Each message carries the table of what lies in it:

    tensors = [[name, datatype, shape, offset, size], ...], offsets a multiple of 64

    datatype      bytes at offset, `size` in all
    all but one   the elements, row-major, in this machine's byte order
    BYTES         one little-endian u64 length per element, then the elements one after another
"""

import contextlib
import fcntl
import math
import mmap
import os
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from hekla.base.dtypes import DType
from hekla.base.errors import EngineError
from hekla.protocols.tensor import Array, Tensors

Table = list[list[Any]]  # JSON, as above

_ALIGNMENT = 64
_SMALLEST = 1 << 16
_MFD_FLAGS = getattr(os, "MFD_CLOEXEC", 0) | getattr(os, "MFD_ALLOW_SEALING", 0)


def shared_file(name: str) -> int:
    """Return the descriptor of new shared memory, for the caller to close."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name, _MFD_FLAGS)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    else:  # macOS: a file that is deleted already
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _SMALLEST)
    return descriptor


class Writer:
    """The side that fills the memory. One message at a time: the next `write` goes over the last."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._memory = descriptor, mmap.mmap(descriptor, _SMALLEST)

    @property
    def size(self) -> int:
        """Bytes of memory there are now."""
        return len(self._memory)

    def write(self, tensors: Tensors) -> Table:
        """Copy the tensors in and return their table. Errors: EngineError for a dtype or element of no protocol."""
        table: Table = []
        end = 0
        parts: list[tuple[int, Array | list[bytes]]] = []
        for name, array in tensors.items():
            dtype = _dtype_of(name, array)
            content: Array | list[bytes] = array
            size = array.size * dtype.itemsize
            if dtype is DType.BYTES:
                content = _elements(name, array)
                size = 8 * len(content) + sum(map(len, content))
            table.append([name, dtype.value, array.shape, end, size])
            parts.append((end, content))
            end += -(-size // _ALIGNMENT) * _ALIGNMENT
        self._grow(end)
        for (_, dtype_name, shape, _, size), (offset, content) in zip(table, parts, strict=True):
            if isinstance(content, list):
                lengths = np.array([len(element) for element in content], "<u8").tobytes()
                self._memory[offset : offset + size] = b"".join((lengths, *content))
            elif size:
                target = np.frombuffer(self._memory, DType(dtype_name).numpy, content.size, offset).reshape(shape)
                np.copyto(target, content)  # any strides, any byte order
        return table

    def _grow(self, needed: int) -> None:
        if needed > len(self._memory):
            size = 1 << (needed - 1).bit_length()
            os.ftruncate(self._descriptor, size)
            self._memory = mmap.mmap(self._descriptor, size)  # the old map goes when its last view does

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()


class Reader:
    """The other side. What `views` returns is read-only and lasts until the writer's next message."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _SMALLEST, access=mmap.ACCESS_READ)

    def views(self, table: Table, size: int) -> Tensors:
        """Return views of the tensors of a table (BYTES: new arrays), in memory of that many bytes.

        Errors: EngineError for a table that does not fit the memory or contradicts itself.
        """
        if size > len(self._memory):
            if size > os.fstat(self._descriptor).st_size:
                raise EngineError(f"shared memory of {size} bytes was announced and is not there")
            self._memory = mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ)
        return {
            name: self._view(DType(dtype), tuple(shape), offset, size) for name, dtype, shape, offset, size in table
        }

    def copies(self, table: Table, size: int) -> Tensors:
        """Return the tensors of a table as arrays of the caller's own. Errors: as `views`."""
        found: Mapping[str, Array] = self.views(table, size)
        return {name: array if array.dtype == object else array.copy() for name, array in found.items()}

    def _view(self, dtype: DType, shape: tuple[int, ...], offset: int, size: int) -> Array:
        count = math.prod(shape)
        if min(shape, default=0) < 0 or offset < 0 or size < 0 or offset + size > len(self._memory):
            raise EngineError(f"a tensor of shape {shape} at {offset}, {size} bytes, is outside the shared memory")
        if dtype is DType.BYTES:
            return self._bytes(shape, count, offset, size)
        if size != count * dtype.itemsize:
            raise EngineError(f"a tensor of {dtype.value} and shape {shape} in {size} bytes of shared memory")
        if count == 0:
            return np.empty(shape, dtype.numpy)
        return np.frombuffer(self._memory, dtype.numpy, count, offset).reshape(shape)

    def _bytes(self, shape: tuple[int, ...], count: int, offset: int, size: int) -> Array:
        blob = self._memory[offset : offset + size]
        if 8 * count > size:
            raise EngineError(f"{count} BYTES elements in {size} bytes of shared memory")
        if count == 0:
            return np.empty(shape, np.object_)
        lengths = np.frombuffer(blob, "<u8", count)
        ends = 8 * count + np.cumsum(lengths, dtype=np.uint64)
        if int(ends[-1]) != size or int(lengths.max()) > size:
            raise EngineError(f"BYTES elements end at {int(ends[-1])} in {size} bytes of shared memory")
        found = np.empty(count, np.object_)
        start = 8 * count
        for index, end in enumerate(ends.tolist()):
            found[index] = blob[start:end]
            start = end
        return found.reshape(shape)

    def close(self) -> None:
        """Let go of the memory; views that are still alive keep it until they go."""
        with contextlib.suppress(BufferError):  # closed with its last view
            self._memory.close()


def _dtype_of(name: str, array: Array) -> DType:
    try:
        return DType.of(array.dtype)
    except KeyError:
        raise EngineError(f"a tensor of dtype {array.dtype} cannot be passed on", where=name) from None


def _elements(name: str, array: Array) -> list[bytes]:
    elements = [item.encode() if isinstance(item, str) else item for item in array.ravel().tolist()]
    for item in elements:
        if not isinstance(item, bytes):
            raise EngineError(f"a BYTES tensor with an element of type {type(item).__name__}", where=name)
    return elements
