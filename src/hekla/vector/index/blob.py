"""A graph index as one blob of bytes: written once, opened by mapping. docs/formats/vector-index.md has every byte.

    offset  size  meaning                                 offset  size  meaning
    0       8     "HKLGRAPH"                              56      8     M^2, f64 (inner product)
    8       4     version: 1                              64      16    offset and size of the mean
    12      4     CRC-32 of the header, this field 0      80      16    of the signs
    16      8     vectors                                 96      16    of the roots
    24      4     dimension                               112     16    of the blocks
    28      4     width: the padded dimension             128     16    of the checksums
    32      4     metric (`Metric`)                       144     4     CRC-32 of the checksums
    36      4     bits of a neighbour's code              148     4     bytes a checksum stands for
    40      4     places for neighbours: 32               152     8     bytes in all
    44      4     bytes of a block                        160     4     bits of an own code: 0 full blocks, else small
    48      8     scale, f64                              164           0; sections begin pages, from 4096 on

Opening reads the first page and nothing else: it takes the same time for any size. What it checks is the header;
`verify`
reads all and names what is damaged. Damage that nobody verified gives wrong neighbours, never a read outside of the
blob.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hekla.base.errors import HeklaError
from hekla.kernels.graph_compact import OWN_BITS, compact_words
from hekla.kernels.graph_layout import DEGREE, block_words, padded_width
from hekla.kernels.graph_rotate import ROUNDS
from hekla.runtime import MappedFile, view_of
from hekla.vector.index.graph import GraphIndex
from hekla.vector.index.metric import Metric
from hekla.vector.index.searcher import Graph
from hekla.vector.index.space import GRAPH_METRICS, Space

MAGIC, VERSION = b"HKLGRAPH", 1
PAGE = 4096
CHUNK = 1 << 20  # bytes a checksum stands for
HEADER = struct.Struct("<8sIIQIIIIIIdd10QIIQI")
CRC_AT = 12
SECTIONS = ("mean", "signs", "roots", "blocks", "checksums")

Bytes = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


class IndexFileError(HeklaError):
    """Bytes are not an index this version reads, or they are damaged. section: which part, chunk: which MiB of it."""

    def __init__(self, message: str, *, where: str, section: str = "header", chunk: int = 0) -> None:
        self.section, self.chunk = section, chunk
        super().__init__(message, where=where, cure="build the index again from its vectors")


@dataclass(frozen=True, slots=True)
class Section:
    """Bytes of a blob."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Header:
    """What the first page says."""

    rows: int
    dimension: int
    width: int
    metric: Metric
    bits: int
    scale: float
    largest_square: float
    own: int
    sections: dict[str, Section]
    checksums_crc: int
    size_bytes: int


def blob_parts(index: GraphIndex) -> Iterator[bytes | memoryview]:
    """Yield the bytes of an index in order, without a copy of the blocks."""
    graph, space = index.graph, index.space
    arrays: dict[str, np.ndarray[Any, Any]] = {  # Any: of several types
        "mean": space.mean, "signs": space.signs, "roots": graph.roots, "blocks": graph.blocks,
    }  # fmt: skip
    bytes_of = {name: np.ascontiguousarray(array).reshape(-1).view(np.uint8) for name, array in arrays.items()}
    sums = np.array([zlib.crc32(part.data) for each in bytes_of.values() for part in _chunks(each)], np.uint32)
    bytes_of["checksums"] = sums.view(np.uint8)
    sections, offset = {}, PAGE
    for name in SECTIONS:
        sections[name] = Section(offset, bytes_of[name].size)
        offset = _page_up(offset + bytes_of[name].size)
    yield _header_page(index, sections, zlib.crc32(sums.data), offset)
    for name in SECTIONS:
        yield bytes_of[name].data
        yield bytes(_page_up(bytes_of[name].size) - bytes_of[name].size)


def write_index(index: GraphIndex, path: str | os.PathLike[str]) -> int:
    """Write an index to a new file, synced to disk; return its bytes. Errors: OSError; FileExistsError."""
    written = 0
    with open(path, "xb") as file:
        for part in blob_parts(index):
            written += file.write(part)
        file.flush()
        os.fsync(file.fileno())
    return written


def open_index(path: str | os.PathLike[str]) -> GraphIndex:
    """Return the index in a file, mapped: pages come from disk when a search touches them.

    Errors: NotFoundError; IndexFileError for what is not an index, is of another version, truncated, or has a damaged
    header.
    """
    file = MappedFile(Path(path))
    return index_of(view_of(file, "u1", (file.size_bytes,)).array, where=str(path))


def index_of(blob: Bytes, *, where: str = "index") -> GraphIndex:
    """Return the index in bytes that somebody else holds, (size,) u8, aligned to 64 bytes. Errors: as `open_index`."""
    header = read_header(blob, where)

    def array(name: str, dtype: str, shape: tuple[int, ...]) -> "np.ndarray[Any, Any]":  # Any: of several types
        section = header.sections[name]
        return blob[section.offset : section.offset + section.size].view(dtype).reshape(shape)

    root_words = block_words(header.width, header.bits)
    words = compact_words(header.width, header.own) if header.own else root_words
    space = Space(
        header.metric,
        array("mean", "<f4", (header.dimension,)),
        array("signs", "<f4", (ROUNDS, header.width)),
        header.scale,
        header.largest_square,
    )
    blocks, roots = array("blocks", "<u4", (header.rows, words)), array("roots", "<u4", (-1, root_words))
    return GraphIndex(Graph(space, blocks, roots, header.bits, header.own))


def read_header(blob: Bytes, where: str) -> Header:
    """Return what the first page says, checked: sections lie within the blob and have the sizes the header implies."""
    if len(blob) < PAGE:
        raise IndexFileError(f"has {len(blob)} bytes, an index has {PAGE} or more", where=where)
    page = bytes(blob[:PAGE])
    magic, version, crc, rows, dimension, width, metric, bits, degree, block, scale, largest, *rest = (
        HEADER.unpack_from(page)
    )
    if magic != MAGIC:
        raise IndexFileError(f"begins with {magic!r}, an index with {MAGIC!r}", where=where)
    if version != VERSION:
        raise IndexFileError(f"is of version {version}, this program reads {VERSION}", where=where)
    if zlib.crc32(page[:CRC_AT] + bytes(4) + page[CRC_AT + 4 :]) != crc:
        raise IndexFileError("the header is damaged: its checksum differs", where=where)
    sections = {name: Section(rest[2 * i], rest[2 * i + 1]) for i, name in enumerate(SECTIONS)}
    if rest[12] > len(blob):
        raise IndexFileError(f"has {len(blob)} bytes, its header says {rest[12]}", where=where)
    known = metric in [m.value for m in GRAPH_METRICS]
    if not (known and bits in (1, 2) and rest[13] in (0, *OWN_BITS) and degree == DEGREE and rest[11] == CHUNK):
        raise IndexFileError("the header holds values this program does not know", where=where)
    found = Header(rows, dimension, width, Metric(metric), bits, scale, largest, rest[13], sections, rest[10], rest[12])
    _check_sizes(found, block, where)
    return found


def verify(blob: Bytes, *, where: str = "index") -> list[IndexFileError]:
    """Read every byte of a blob and return what is damaged, one error for each MiB. Errors: as `open_index`, for the
    header.
    """
    header = read_header(blob, where)
    data = {n: blob[s.offset : s.offset + s.size] for n, s in header.sections.items()}
    if zlib.crc32(data["checksums"].data) != header.checksums_crc:
        return [IndexFileError("the table of checksums is damaged", where=where, section="checksums")]
    sums = iter(data["checksums"].view("<u4").tolist())
    wrong = []
    for name in SECTIONS[:-1]:
        for number, part in enumerate(_chunks(data[name])):
            if zlib.crc32(part.data) != next(sums):
                message = f"MiB {number} of the {name} is damaged: its checksum differs"
                wrong.append(IndexFileError(message, where=where, section=name, chunk=number))
    return wrong


def _check_sizes(header: Header, block: int, where: str) -> None:
    is_padded = header.width == padded_width(header.dimension)
    root_words = block_words(header.width, header.bits) if is_padded else 0
    words = compact_words(header.width, header.own) if header.own else root_words
    sections = header.sections
    sizes = (
        block == 4 * words
        and root_words > 0
        and sections["mean"].size == 4 * header.dimension
        and sections["signs"].size == 4 * ROUNDS * header.width
        and sections["roots"].size % (4 * root_words) == 0
        and sections["blocks"].size == block * header.rows
        and header.scale > 0
        and all(s.offset % PAGE == 0 and s.offset + s.size <= header.size_bytes for s in sections.values())
    )
    chunks = sum(-(-sections[name].size // CHUNK) for name in SECTIONS[:-1])
    if not sizes or sections["checksums"].size != 4 * chunks:
        raise IndexFileError("the sizes in the header contradict each other", where=where)


def _header_page(index: GraphIndex, sections: dict[str, Section], checksums_crc: int, size: int) -> bytes:
    graph, space = index.graph, index.space
    places = [number for name in SECTIONS for number in (sections[name].offset, sections[name].size)]
    page = bytearray(PAGE)
    HEADER.pack_into(
        page, 0, MAGIC, VERSION, 0, len(graph), space.dimension, space.width, space.metric.value, graph.bits, DEGREE,
        4 * graph.blocks.shape[1], space.scale, space.largest_square, *places, checksums_crc, CHUNK, size, graph.own,
    )  # fmt: skip
    struct.pack_into("<I", page, CRC_AT, zlib.crc32(page))
    return bytes(page)


def _chunks(data: Bytes) -> Iterator[Bytes]:
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]


def _page_up(size: int) -> int:
    return -(-size // PAGE) * PAGE
