"""One file of named sections, written once, mapped ever after: a segment, or what is beside it.

    offset  size  meaning (little-endian)
    0       8     "HKLSEG01"
    8       4     version, 1
    12      4     CRC-32 of bytes 0 to 63 with this field 0
    16      8     f: bytes of the file
    24      8     t: where the table begins
    32      8     s: bytes of the table
    40      4     CRC-32 of the table
    44      20    0
    64      ...   0 up to 4096
    4096    ...   sections, each begun at a multiple of 4096, 0 between them
    t       s     the table, JSON: {"about": ..., "sections": {name: [offset, bytes, dtype, shape, CRC-32]}}

Opening reads header and table: its time does not depend on the sections' sizes. `verify` reads all of it. The system
reads ahead of a touched page, 8 MB where disks are many, only in sections that are read from end to end (`_IN_ORDER`).
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from hekla.base.errors import NotFoundError
from hekla.runtime.errors import TruncatedFileError
from hekla.runtime.mapped import Advice, MappedFile
from hekla.vector.disk import Disk
from hekla.vector.errors import DamagedError
from hekla.vector.rows import AnyArray

_MAGIC, _VERSION, PAGE = b"HKLSEG01", 1, 4096
_HEADER = struct.Struct("<8sIIQQQI20x")
_CHUNK = 1 << 24
_IN_ORDER = ("dense.", "sparse.", "field.")  # but vectors with a graph; the others are read a row here, a row there


def write_segment_file(disk: Disk, path: Path, about: Any, sections: Mapping[str, AnyArray]) -> int:
    """Write a file of sections, durably, and return its bytes. Any: JSON. Errors: DiskError."""
    places: dict[str, tuple[int, int, str, tuple[int, ...], int]] = {}
    at = PAGE
    flat = {name: np.ascontiguousarray(array) for name, array in sections.items()}
    for name, array in flat.items():
        places[name] = (at, array.nbytes, array.dtype.str, array.shape, zlib.crc32(_bytes(array)))
        at += array.nbytes + -array.nbytes % PAGE
    table = orjson.dumps({"about": about, "sections": places})
    fields = (at + len(table), at, len(table), zlib.crc32(table))
    checksum = zlib.crc32(_HEADER.pack(_MAGIC, _VERSION, 0, *fields))
    header = _HEADER.pack(_MAGIC, _VERSION, checksum, *fields)

    def pieces() -> Iterator[bytes | memoryview]:
        yield header + bytes(PAGE - len(header))
        for array in flat.values():
            yield _bytes(array)
            yield bytes(-array.nbytes % PAGE)
        yield table

    return disk.write_new(path, pieces())


class SegmentFile:
    """A mapped file of sections.

    Errors: NotFoundError; DamagedError for bytes that are not what was written, or a newer version's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mapped = _mapped(path)
        self._mapped.advise(Advice.RANDOM)
        view = self._mapped.memory()
        magic, version, checksum, size, table_at, table_bytes, table_checksum = _HEADER.unpack_from(view)
        if magic != _MAGIC:
            raise DamagedError("is no segment: it begins with other bytes", where=f"{path} at 0")
        if version > _VERSION:
            cure = "open it with a newer build"
            raise DamagedError(f"is of version {version}, this build reads {_VERSION}", where=str(path), cure=cure)
        if zlib.crc32(_HEADER.pack(magic, version, 0, size, table_at, table_bytes, table_checksum)) != checksum:
            raise DamagedError("its header fails its checksum", where=f"{path} at 0")
        if size != len(view) or table_at + table_bytes != size:
            raise DamagedError(f"has {len(view)} bytes, its header says {size}", where=f"{path} at 16")
        table = view[table_at:size]
        if zlib.crc32(table) != table_checksum:
            raise DamagedError("its table fails its checksum", where=f"{path} at {table_at}")
        self._bytes: AnyArray = np.frombuffer(view, np.uint8)
        try:
            document = orjson.loads(table)
            self.about: Any = document["about"]  # Any: JSON
            self._places: dict[str, tuple[int, int, str, list[int], int]] = document["sections"]
            self._sections = {name: self._view(place) for name, place in self._places.items()}
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"its table contradicts itself: {error}", where=f"{path} at {table_at}") from error
        for first, stop in self._read_in_order():
            self._mapped.advise(Advice.NORMAL, first, stop - first)

    def _read_in_order(self) -> list[tuple[int, int]]:
        """Return the ranges of sections that are read in order, neighbours as one: the system keeps a list of them."""
        ranges: list[tuple[int, int]] = []
        for name, (at, size, *_) in self._places.items():
            is_graph = name.startswith("dense.") and f"graph.{name[len('dense.') :].rpartition('.')[0]}" in self._places
            if size and name.startswith(_IN_ORDER) and not is_graph:
                stop = at + size + -size % PAGE
                ranges.append((ranges.pop()[0], stop) if ranges and ranges[-1][1] == at else (at, stop))
        return ranges

    @property
    def size_bytes(self) -> int:
        """Bytes of the file."""
        return len(self._bytes)

    def names(self) -> tuple[str, ...]:
        """Return the sections' names."""
        return tuple(self._places)

    def section(self, name: str) -> AnyArray:
        """Return a section, a view of the file. Errors: KeyError."""
        return self._sections[name]

    def sections(self) -> dict[str, AnyArray]:
        """Return every section, as views of the file."""
        return dict(self._sections)

    def _view(self, place: tuple[int, int, str, list[int], int]) -> AnyArray:
        at, size, dtype, shape, _ = place
        return self._bytes[at : at + size].view(np.dtype(dtype)).reshape(shape)

    def verify(self) -> None:
        """Read every byte and compare checksums. Errors: DamagedError naming the section."""
        for name, (at, size, _, _, checksum) in self._places.items():
            found = 0
            for start in range(at, at + size, _CHUNK):
                self._mapped.prefetch(start, min(_CHUNK, at + size - start))
                found = zlib.crc32(self._bytes[start : min(start + _CHUNK, at + size)].data, found)
            if found != checksum:
                raise DamagedError(f"section {name!r} fails its checksum", where=f"{self.path} at {at}")


def _mapped(path: Path) -> MappedFile:
    try:
        return MappedFile(path, expected_bytes=PAGE, kind="segment")
    except TruncatedFileError as error:
        raise DamagedError(error.message, where=str(path)) from error
    except NotFoundError as error:
        raise DamagedError(error.message, where=str(path), cure="restore it from a snapshot") from error


def _bytes(array: AnyArray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data if array.nbytes else memoryview(b"")
