"""Where the tensors of a safetensors file lie. The header is read; the weights are not.

offset       size         meaning
0            8            header length n, unsigned, little-endian
8            n            JSON: {name: {"dtype", "shape", "data_offsets": [start, end]}, "__metadata__": {...}}
8 + n        the rest     the tensors, row-major, little-endian; data_offsets count from here
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hekla.base.errors import ModelFileError

_ITEM_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_LONGEST_HEADER = 100_000_000  # bytes, the limit the format itself states


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor's element type, shape and place in the file."""

    dtype: str  # as the format spells it: "F32"
    shape: tuple[int, ...]
    offset: int  # bytes from the start of the file
    nbytes: int


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a safetensors file by name.

    Errors: ModelFileError for a header that is no header, or places that do not lie in the file.
    Source: the format's own description, huggingface/safetensors README.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise ModelFileError(f"header of {length} bytes in a file of {size}", where=str(path), cure=_CURE)
        header = stream.read(length)
    try:
        table = json.loads(header)
        rows = {name: _row(entry) for name, entry in table.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"not a safetensors header ({error})", where=str(path), cure=_CURE) from None
    found = {}
    for name, (dtype, shape, start, end) in rows.items():
        nbytes = math.prod(shape) * _ITEM_BYTES.get(dtype, 0)
        if dtype not in _ITEM_BYTES or min(shape, default=0) < 0 or start < 0 or end - start != nbytes:
            raise ModelFileError(
                f"tensor {name!r}: {dtype} {list(shape)} does not fill bytes {start} to {end}", where=str(path)
            )
        if 8 + length + end > size:
            raise ModelFileError(f"tensor {name!r} ends beyond the end of the file", where=str(path), cure=_CURE)
        found[name] = StoredTensor(dtype, shape, 8 + length + start, nbytes)
    return found


def _row(entry: Mapping[str, Any]) -> tuple[str, tuple[int, ...], int, int]:  # Any: JSON; what is wrong raises
    start, end = entry["data_offsets"]
    return str(entry["dtype"]), tuple(int(n) for n in entry["shape"]), int(start), int(end)


_CURE = "the file is cut short or is something else: fetch it again"
