"""safetensors files, mapped: where their tensors lie. No weight is read or copied.

offset       size         meaning
0            8            header length n, unsigned, little-endian
8            n            JSON: {name: {"dtype", "shape", "data_offsets": [start, end]}, "__metadata__": {...}}
8 + n        the rest     the tensors, row-major, little-endian; data_offsets count from here

Source: the format's own description, huggingface/safetensors README.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import ModelFileError, quoted
from hekla.runtime import MappedFile

ITEM_BYTES: Mapping[str, int] = {
    name: size
    for size, names in {
        8: "F64 I64 U64",
        4: "F32 I32 U32",
        2: "F16 BF16 I16 U16",
        1: "I8 U8 BOOL F8_E4M3 F8_E5M2",
    }.items()
    for name in names.split()
}
LONGEST_HEADER = 100_000_000  # bytes, the limit the format itself states
_CURE = "the file is cut short or damaged: fetch it again"


@dataclass(frozen=True, slots=True)
class RawTensor:
    """One tensor as the file has it."""

    dtype: str  # as the format spells it: "BF16"
    shape: tuple[int, ...]
    data: NDArray[np.uint8]  # (bytes,) read-only view of the mapped file


def read_safetensors(path: Path) -> tuple[MappedFile, Mapping[str, RawTensor]]:
    """Map a file and return its tensors by name.

    Errors: ModelFileError for a file that is cut short, damaged or hostile; NotFoundError where there is none.
    """
    file = MappedFile(path, kind="weights")
    memory, where = file.memory(), str(path)
    if len(memory) < 8:
        raise ModelFileError(f"expected a header, found {len(memory)} bytes", where=where, cure=_CURE)
    length = int.from_bytes(memory[:8], "little")
    if length > min(len(memory) - 8, LONGEST_HEADER):
        raise ModelFileError(f"header of {length} bytes in a file of {len(memory)}", where=where, cure=_CURE)
    try:
        table = json.loads(bytes(memory[8 : 8 + length]), object_pairs_hook=_unique)
        rows = {str(name): _row(entry) for name, entry in table.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"no safetensors header ({error!r:.200})", where=where, cure=_CURE) from None
    found, taken = {}, []
    for name, (dtype, shape, start, end) in rows.items():
        what = f"tensor {quoted(name)}"
        fills = dtype in ITEM_BYTES and end - start == math.prod(shape) * ITEM_BYTES[dtype]
        if start < 0 or not fills or len(shape) > 8 or min(shape, default=0) < 0:
            message = f"{what}: {quoted(dtype)} of shape {quoted(list(shape))} does not fill bytes {start} to {end}"
            raise ModelFileError(message, where=where, cure=_CURE)
        if 8 + length + end > len(memory):
            message = f"{what}: ends at byte {8 + length + end}, the file has {len(memory)}"
            raise ModelFileError(message, where=where, cure=_CURE)
        found[name] = RawTensor(dtype, shape, np.frombuffer(memory, np.uint8, end - start, 8 + length + start))
        taken.append((start, end, name))
    for (_, end, first), (begin, _, second) in pairwise(sorted(taken)):
        if begin < end:
            message = f"tensors {quoted(first)} and {quoted(second)} overlap at byte {begin} of the data"
            raise ModelFileError(message, where=where, cure=_CURE)
    return file, found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # Any: JSON
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _row(entry: Mapping[str, Any]) -> tuple[str, tuple[int, ...], int, int]:  # Any: JSON; what is wrong raises
    start, end = entry["data_offsets"]
    numbers = [*entry["shape"], start, end]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        raise TypeError("shape and offsets must be whole numbers")
    if any(abs(number) >= 1 << 63 for number in numbers):
        raise ValueError("a number of more than 63 bits")
    return str(entry["dtype"]), tuple(entry["shape"]), start, end
