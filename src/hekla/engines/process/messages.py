"""What the two processes say to one another over the control socket.

    offset  size  meaning
    0       4     n, little-endian: bytes that follow
    4       n     a JSON object (the first message to the worker: a pickled Assignment)

To the worker, after the assignment: {"run": number, "inputs": tensors, "size": bytes of request memory, "outputs":
names}. From it, once loaded: {"inputs": specs, "outputs": specs}; after a run: {"tensors": tensors, "size": bytes of
reply memory}; instead of either: {"error": [kind, message, where, cure]}. `tensors` is defined in
`hekla.engines.process.shared`.
Only the worker unpickles; what comes from it is parsed and checked.
"""

import socket
import struct
from dataclasses import dataclass
from typing import Any

import orjson

from hekla.base.dtypes import DType
from hekla.base.errors import (
    CancelledError,
    ConfigError,
    EngineError,
    HeklaError,
    InputError,
    ModelFileError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from hekla.protocols.engine import EngineSource
from hekla.protocols.tensor import TensorSpec

Message = dict[str, Any]  # JSON, read once and checked by its reader

_LENGTH = struct.Struct("<I")
_LONGEST_TEXT = 8000

# Errors that keep their type on the way; any other becomes its nearest base here, in the end EngineError.
_ERRORS: dict[str, type[HeklaError]] = {
    kind.__name__: kind
    for kind in (
        InputError,
        NotFoundError,
        ConfigError,
        ModelFileError,
        UnavailableError,
        CancelledError,
        UnsupportedError,
        EngineError,
    )
}


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is started for."""

    loader: str  # an entry point's value, "module:name" of an EngineLoader
    source: EngineSource


def send(control: socket.socket, body: bytes) -> None:
    """Send one message whole. Errors: OSError if the other side is gone."""
    control.sendall(_LENGTH.pack(len(body)) + body)


def receive(control: socket.socket) -> bytes | None:
    """Return the next message, None once the other side is gone. Waits."""
    head = _exactly(control, _LENGTH.size)
    return None if head is None else _exactly(control, _LENGTH.unpack(head)[0])


def _exactly(control: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = control.recv(size - len(parts))
        except ConnectionError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)


def error_message(error: Exception) -> bytes:
    """Return an error as a message."""
    if isinstance(error, HeklaError):
        kind = next((k.__name__ for k in type(error).__mro__ if k.__name__ in _ERRORS), "EngineError")
        fields = [kind, error.message, error.where, error.cure]
    else:
        fields = ["EngineError", f"{type(error).__name__}: {error}", "", ""]
    return orjson.dumps({"error": [field[:_LONGEST_TEXT].encode("utf-8", "replace").decode() for field in fields]})


def parsed(body: bytes) -> Message:
    """Return a message as JSON. Errors: the error it carries."""
    message: Message = orjson.loads(body)
    if "error" in message:
        kind, text, where, cure = message["error"]
        raise _ERRORS[kind](text, where=where, cure=cure)
    return message


def specs_to_json(specs: tuple[TensorSpec, ...]) -> list[list[Any]]:  # JSON
    """Return specs as lists of name, datatype, shape, batch axis, optional."""
    return [[s.name, s.dtype.value, s.shape, s.batch_axis, s.optional] for s in specs]


def specs_from_json(rows: list[list[Any]]) -> tuple[TensorSpec, ...]:  # JSON
    """Undo `specs_to_json`."""
    return tuple(TensorSpec(name, DType(dtype), tuple(shape), axis, opt) for name, dtype, shape, axis, opt in rows)
