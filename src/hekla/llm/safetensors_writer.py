"""Writes safetensors files, as `safetensors.py` describes them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NAMES = {"<f4": "F32", "<f2": "F16", "<i4": "I32", "<u4": "U32", "|u1": "U8", "<i8": "I64"}


def write_safetensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:  # Any: one of _NAMES
    """Write arrays, those of the widest elements first, so that each is aligned to its own. Errors: OSError."""
    table: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data: list[bytes] = []
    at = 0
    for name, array in sorted(tensors.items(), key=lambda row: (-row[1].dtype.itemsize, row[0])):
        content = np.ascontiguousarray(array).tobytes()
        dtype = _NAMES[array.dtype.str]
        table[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + len(content)]}
        data.append(content)
        at += len(content)
    header = json.dumps(table, separators=(",", ":")).encode()
    header += b" " * (-(8 + len(header)) % 64)
    with path.open("wb") as out:
        out.write(len(header).to_bytes(8, "little") + header)
        out.writelines(data)
