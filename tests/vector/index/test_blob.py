"""The blob: what is written is what is read, and damage is refused or named, never followed out of the bytes."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hekla.base.errors import NotFoundError
from hekla.vector.index import (
    GraphIndex,
    IndexFileError,
    Metric,
    blob_parts,
    build_graph,
    index_of,
    open_index,
    verify,
    write_index,
)

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@pytest.fixture(scope="session")
def blob(index: GraphIndex) -> Bytes:
    """The bytes of an index, read-only, as a mapped file is."""
    found = np.frombuffer(b"".join(bytes(part) for part in blob_parts(index)), np.uint8)
    aligned = np.zeros(len(found) + 64, np.uint8)
    start = -aligned.ctypes.data % 64
    aligned[start : start + len(found)] = found
    return aligned[start : start + len(found)]


def test_a_written_index_is_opened_the_same(index: GraphIndex, queries: Floats, tmp_path: Path) -> None:
    path = tmp_path / "points.index"
    assert write_index(index, path) == path.stat().st_size
    opened = open_index(path)
    assert len(opened) == len(index)
    assert opened.space.metric is Metric.L2
    assert (opened.search_many(queries, 10).distances == index.search_many(queries, 10).distances).all()
    assert verify(np.fromfile(path, np.uint8)) == []
    with pytest.raises(FileExistsError):
        write_index(index, path)


@pytest.mark.parametrize("own", [16, 8, 4])
def test_small_blocks_come_back(index: GraphIndex, queries: Floats, own: int, tmp_path: Path) -> None:
    small = index.compacted(own)
    write_index(small, tmp_path / "x")
    opened = open_index(tmp_path / "x")
    assert (opened.search_many(queries, 10).distances == small.search_many(queries, 10).distances).all()
    assert verify(np.fromfile(tmp_path / "x", np.uint8)) == []


@pytest.mark.parametrize("metric", [Metric.DOT, Metric.COSINE])
@pytest.mark.parametrize("count", [0, 1, 200])
def test_every_metric_and_size_comes_back(points: Floats, metric: Metric, count: int, tmp_path: Path) -> None:
    index = build_graph(points[:count], metric)
    write_index(index, tmp_path / "x")
    opened = open_index(tmp_path / "x")
    assert opened.search(points[0], 9).rows.tolist() == index.search(points[0], 9).rows.tolist()
    assert opened.search(points[0], 9).distances.tolist() == index.search(points[0], 9).distances.tolist()


def test_each_section_begins_a_page_and_a_block_a_cache_line(blob: Bytes) -> None:
    places = struct.unpack_from("<10Q", blob.tobytes(), 64)[::2]
    assert all(place % 4096 == 0 for place in places)
    assert struct.unpack_from("<I", blob.tobytes(), 44)[0] % 64 == 0


def test_opening_reads_only_the_first_page(blob: Bytes, points: Floats) -> None:
    only_header = np.zeros_like(blob)
    only_header[:4096] = blob[:4096]
    assert len(index_of(only_header)) == 3000


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"NOTINDEX", "begins with b'NOTINDEX'"),
        (8, b"\x02\0\0\0", "is of version 2, this program reads 1"),
        (16, b"\xff", "the header is damaged: its checksum differs"),
        (4000, b"x", "the header is damaged: its checksum differs"),
    ],
)
def test_a_damaged_header_is_refused(blob: Bytes, at: int, value: bytes, message: str) -> None:
    bad = blob.copy()
    bad[at : at + len(value)] = np.frombuffer(value, np.uint8)
    with pytest.raises(IndexFileError, match=message):
        index_of(bad)


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [(16, "<Q", 3001), (24, "<I", 500), (28, "<I", 128), (32, "<I", 3), (36, "<I", 3), (40, "<I", 16), (44, "<I", 64),
     (48, "<d", -1.0), (64, "<Q", 4097), (120, "<Q", 1 << 62), (152, "<Q", 1 << 40), (160, "<I", 8), (160, "<I", 5)],
)  # fmt: skip
def test_a_header_that_contradicts_itself_is_refused(blob: Bytes, at: int, form: str, value: float) -> None:
    page = bytearray(blob[:4096].tobytes())
    struct.pack_into(form, page, at, value)
    struct.pack_into("<I", page, 12, 0)
    struct.pack_into("<I", page, 12, zlib.crc32(page))
    bad = blob.copy()
    bad[:4096] = np.frombuffer(page, np.uint8)
    with pytest.raises(IndexFileError):
        index_of(bad)


def test_a_truncated_file_is_refused(blob: Bytes, tmp_path: Path) -> None:
    for size in (0, 100, 4096, len(blob) - 1):
        (tmp_path / "short").write_bytes(blob[:size].tobytes())
        with pytest.raises(IndexFileError, match=r"has .* bytes"):
            open_index(tmp_path / "short")
    with pytest.raises(NotFoundError):
        open_index(tmp_path / "absent")


def test_a_flipped_bit_is_named_with_its_section(blob: Bytes) -> None:
    places = struct.unpack_from("<10Q", blob.tobytes(), 64)
    for number, name in enumerate(("mean", "signs", "roots", "blocks", "checksums")):
        bad = blob.copy()
        bad[places[2 * number] + 2] ^= 8
        (error,) = verify(bad)
        assert (error.section, error.chunk) == (name, 0)
    bad = blob.copy()
    bad[places[6] + (1 << 20) + 5] ^= 1
    assert [(e.section, e.chunk) for e in verify(bad)] == [("blocks", 1)]
    assert "MiB 1 of the blocks is damaged" in str(verify(bad)[0])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_search_of_damaged_blocks_stays_within_the_bytes(seed: int, blob: Bytes, queries: Floats) -> None:
    rng = np.random.default_rng(seed)
    bad = blob.copy()
    first = struct.unpack_from("<Q", blob.tobytes(), 80 + 16)[0]
    some = rng.integers(first, len(bad), 20000)
    bad[some] = rng.integers(0, 256, len(some))
    index = index_of(bad)
    allowed = rng.integers(0, 1 << 63, 47, dtype=np.uint64)
    for bitmap in (None, allowed):
        found = index.search(queries[0], 10, allowed=bitmap)
        assert (found.rows < 3000).all()
        assert (found.rows >= 0).all()
