"""Messages out of a stream of DATA: the gRPC frame.

offset  size  meaning
0       1     1 if the message is compressed, else 0
1       4     length n of the message, big-endian
5       n     the message
"""

from collections.abc import Iterator

import numpy as np

from hekla.base.errors import InputError, TooLargeError
from hekla.serve.grpc.compression import decompress

Message = bytes | memoryview

PREFIX_SIZE = 5
_ALIGNMENT = 64


class BufferBudget:
    """Bytes of unfinished messages that all connections together may hold."""

    __slots__ = ("left",)

    def __init__(self, limit_bytes: int) -> None:
        self.left = limit_bytes

    def take(self, size: int) -> None:
        """Errors: TooLargeError if too much is held already."""
        if size > self.left:
            raise TooLargeError("message", limit="the memory for unfinished messages", got="more", cure="try again")
        self.left -= size


class MessageReader:
    """Collects one stream's messages.

    A message is collected in a buffer of its announced size whose pages the system commits as they fill, placed so
    that the message *ends* at an aligned address: the tensor that ends a request can then be used where it lies.
    """

    __slots__ = ("_budget", "_buffer", "_encoding", "_filled", "_held", "_is_compressed", "_limit", "_prefix")

    def __init__(self, limit_bytes: int, encoding: str, budget: BufferBudget) -> None:
        self._limit, self._encoding, self._budget = limit_bytes, encoding, budget
        self._prefix = b""
        self._buffer: memoryview | None = None
        self._filled = 0
        self._held = 0
        self._is_compressed = False

    @property
    def is_between(self) -> bool:
        """True if no message is half read."""
        return self._buffer is None and not self._prefix

    def feed(self, chunk: bytes, start: int, end: int) -> Iterator[Message]:
        """Yield the messages that chunk[start:end] completes. Errors: InputError, TooLargeError, at their message."""
        while start < end:
            if self._buffer is None:
                taken = min(PREFIX_SIZE - len(self._prefix), end - start)
                self._prefix += chunk[start : start + taken]
                start += taken
                if len(self._prefix) < PREFIX_SIZE:
                    break
                self._begin()
            buffer = self._buffer
            assert buffer is not None
            size = min(len(buffer) - self._filled, end - start)
            if size:
                self._budget.take(size)
                self._held += size
                buffer[self._filled : self._filled + size] = memoryview(chunk)[start : start + size]
                self._filled += size
                start += size
            if self._filled == len(buffer):
                yield self._finish(buffer)

    def release(self) -> None:
        """Drop an unfinished message."""
        self._budget.left += self._held
        self._held = 0
        self._buffer = None
        self._prefix = b""

    def _begin(self) -> None:
        flag, length = self._prefix[0], int.from_bytes(self._prefix[1:], "big")
        if flag > 1:
            raise InputError("the first byte of a message is 0 or 1", where="message")
        if length > self._limit:
            raise TooLargeError("message", limit=f"{self._limit} bytes", got=f"{length} bytes")
        self._is_compressed = flag == 1
        block = np.empty(length + 2 * _ALIGNMENT, np.uint8)  # uncommitted memory, unlike a bytearray's
        start = -(block.ctypes.data + length) % _ALIGNMENT
        self._buffer = block.data[start : start + length]
        self._filled = 0

    def _finish(self, buffer: memoryview) -> Message:
        self.release()
        if self._is_compressed:
            return decompress(buffer, self._encoding, self._limit)
        return buffer.toreadonly()
