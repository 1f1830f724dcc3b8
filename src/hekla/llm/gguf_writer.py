"""Writes GGUF files, version 3, as `gguf.py` describes them."""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hekla.llm.gguf import ARRAY, DEFAULT_ALIGNMENT, MAGIC, NUMBERS, STRING, TENSOR_KINDS
from hekla.llm.metadata import MetadataValue
from hekla.llm.tensors import Quantisation

_KIND_OF = {number.str: kind for kind, number in NUMBERS.items()}
_CODE_OF = {quantisation: code for code, quantisation in TENSOR_KINDS.items()}
_U32, _I32, _U64, _I64, _F32, _BOOL = 4, 5, 10, 11, 6, 7


@dataclass(frozen=True, slots=True)
class TensorToWrite:
    """A tensor whose bytes are made when their turn comes, so that one at a time is in memory."""

    name: str
    quantisation: Quantisation
    shape: tuple[int, ...]  # as NumPy has it
    make: Callable[[], NDArray[np.uint8]]

    @property
    def nbytes(self) -> int:
        """Bytes of its data."""
        return math.prod(self.shape) // self.quantisation.block_values * self.quantisation.block_bytes


def write_gguf(path: Path, metadata: Mapping[str, MetadataValue], tensors: Sequence[TensorToWrite]) -> None:
    """Write a GGUF file beside its place, then put it there: readers of an older one keep what they mapped.

    Numbers are written as u32, i32, u64, i64 (the first that holds them) and f32. Errors: OSError.
    """
    staged = path.with_name(f".{path.name}.part")
    try:
        with staged.open("wb") as out:
            out.write(MAGIC + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
            for key, value in metadata.items():
                out.write(_string(key) + _value(value))
            offset = 0
            for tensor in tensors:
                shape = tensor.shape[::-1]
                extents = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
                out.write(_string(tensor.name) + extents + struct.pack("<IQ", _CODE_OF[tensor.quantisation], offset))
                offset = _aligned(offset + tensor.nbytes)
            for tensor in tensors:
                _pad(out)
                data = tensor.make()
                assert data.nbytes == tensor.nbytes, f"{tensor.name}: {data.nbytes} bytes, expected {tensor.nbytes}"
                out.write(data.tobytes())
            _pad(out)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def _aligned(offset: int) -> int:
    return -(-offset // DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT


def _pad(out: BinaryIO) -> None:
    out.write(bytes(_aligned(out.tell()) - out.tell()))


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(value: MetadataValue) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _string(value)
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        kind = _U32 if 0 <= value < 1 << 32 else _I32 if -(1 << 31) <= value < 0 else _U64 if value > 0 else _I64
        return struct.pack("<I", kind) + np.array(value, NUMBERS[kind]).tobytes()
    if isinstance(value, float):
        return struct.pack("<If", _F32, value)
    if isinstance(value, np.ndarray):
        return struct.pack("<IIQ", ARRAY, _KIND_OF[value.dtype.str], len(value)) + value.tobytes()
    return struct.pack("<IIQ", ARRAY, STRING, len(value)) + b"".join(_string(text) for text in value)
