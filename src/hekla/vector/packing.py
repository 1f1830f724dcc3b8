"""Named arrays and a JSON document as one run of bytes: what a log record holds.

offset  size  meaning
0       4     j: bytes of the JSON document, u32 little-endian
4       4     0
8       j     the document: {"data": ..., "arrays": {name: [dtype, shape, offset]}}
...           0 to 7 zero bytes up to a multiple of 8, then the arrays, each begun at a multiple of 8 from there;
              offsets are counted from there; little-endian, C order
"""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from hekla.vector.errors import DamagedError

AnyArray = NDArray[Any]  # Any: the document says each one's dtype
_HEAD = struct.Struct("<II")


def pack(data: Any, arrays: Mapping[str, AnyArray]) -> bytes:  # Any: JSON
    """Return the bytes of a document and its arrays."""
    places: dict[str, tuple[str, tuple[int, ...], int]] = {}
    pieces: list[bytes] = []
    at = 0
    for name, array in arrays.items():
        flat = np.ascontiguousarray(array)
        places[name] = (flat.dtype.str, flat.shape, at)
        pieces += (flat.tobytes(), bytes(-flat.nbytes % 8))
        at += flat.nbytes + -flat.nbytes % 8
    document = orjson.dumps({"data": data, "arrays": places})
    return b"".join((_HEAD.pack(len(document), 0), document, bytes(-len(document) % 8), *pieces))


def unpack(packed: bytes | memoryview, where: str) -> tuple[Any, dict[str, AnyArray]]:  # Any: JSON
    """Return the document and views of the arrays. Errors: DamagedError where the bytes are not what `pack` makes."""
    view = memoryview(packed)
    try:
        (size, _) = _HEAD.unpack_from(view)
        document = orjson.loads(view[8 : 8 + size])
        start = 8 + size + -size % 8
        arrays: dict[str, AnyArray] = {}
        for name, (dtype, shape, at) in document["arrays"].items():
            count = int(np.prod(shape, dtype=np.int64))
            array: AnyArray = np.frombuffer(view, np.dtype(dtype), count, start + at)
            arrays[name] = array.reshape(shape)
        return document["data"], arrays
    except (struct.error, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"does not hold what its checksum covers: {error}", where=where) from error
