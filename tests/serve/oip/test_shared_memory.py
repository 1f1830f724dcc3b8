"""Registered regions: what is refused, and that no client can end the server through one."""

import os
from pathlib import Path

import pytest

from hekla.base.errors import ConflictError, InputError, NotFoundError
from hekla.serve.oip.shared_memory import Region, SharedMemoryRegions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "block").write_bytes(bytes(range(100)))
    return tmp_path


@pytest.fixture
def regions(folder: Path) -> SharedMemoryRegions:
    return SharedMemoryRegions(folder)


def test_bytes_are_read_from_the_regions_own_offset(regions: SharedMemoryRegions) -> None:
    regions.register("r", "/block", 10, 50)
    assert bytes(regions.read("r", 5, 3)) == bytes([15, 16, 17])
    assert regions.read("r", 0, 3).readonly
    assert regions.status() == regions.status("r") == [Region("r", "/block", 10, 50)]
    regions.unregister()


def test_bytes_are_written_within_what_was_set_aside(regions: SharedMemoryRegions, folder: Path) -> None:
    regions.register("r", "block", 10, 50)
    assert regions.write("r", 2, 8, memoryview(b"abc")) == 3
    assert (folder / "block").read_bytes()[10:16] == b"\x0a\x0babc\x0f"
    with pytest.raises(InputError, match="'r': the output has 3 bytes, 2 are set aside"):
        regions.write("r", 2, 2, memoryview(b"abc"))
    with pytest.raises(InputError, match="'r': bytes 49 to 51 are outside its 50 bytes"):
        regions.write("r", 49, 2, memoryview(b"ab"))
    regions.unregister("r")


@pytest.mark.parametrize("key", ["", "/", ".", "..", "/..", "../block", "/a/b", "//block", "a\0b", "x" * 300])
def test_a_key_that_is_no_name_is_refused(regions: SharedMemoryRegions, key: str) -> None:
    with pytest.raises(InputError, match="is not the name"):
        regions.register("r", key, 0, 1)


def test_what_cannot_be_registered_says_why(regions: SharedMemoryRegions, folder: Path) -> None:
    (folder / "link").symlink_to(folder / "block")
    (folder / "directory").mkdir()
    os.mkfifo(folder / "pipe")
    with pytest.raises(NotFoundError, match="no shared-memory object 'nope'"):
        regions.register("r", "nope", 0, 1)
    for key in ("link", "directory"):
        with pytest.raises(InputError, match="cannot open"):
            regions.register("r", key, 0, 1)
    with pytest.raises(InputError, match="not a shared-memory object"):
        regions.register("r", "pipe", 0, 1)
    with pytest.raises(InputError, match="has 100 bytes, 101 are needed"):
        regions.register("r", "block", 1, 100)
    for offset, size in [(0, 0), (-1, 5), (0, -5), (1 << 62, 1 << 62)]:
        with pytest.raises(InputError):
            regions.register("r", "block", offset, size)
    regions.register("r", "block", 0, 100)
    with pytest.raises(ConflictError, match="'r' is registered already"):
        regions.register("r", "block", 0, 100)
    regions.unregister()


def test_unknown_regions_and_ranges_outside_are_refused(regions: SharedMemoryRegions) -> None:
    regions.register("r", "block", 0, 100)
    for offset, size in [(0, 101), (100, 1), (-1, 1), (0, -1), (1 << 70, 1)]:
        with pytest.raises(InputError, match="outside"):
            regions.read("r", offset, size)
    for use in (lambda: regions.read("q", 0, 1), lambda: regions.status("q")):
        with pytest.raises(NotFoundError, match="'q': is not registered"):
            use()
    regions.unregister("q")
    regions.unregister("r")
    assert regions.status() == []


def test_a_region_that_shrinks_fails_the_request_and_not_the_server(regions: SharedMemoryRegions, folder: Path) -> None:
    regions.register("r", "block", 0, 100)
    os.truncate(folder / "block", 10)
    with pytest.raises(InputError, match="has become smaller"):
        regions.read("r", 0, 100)
    with pytest.raises(InputError, match="has 10 bytes"):
        regions.write("r", 50, 4, memoryview(b"abcd"))
    assert (folder / "block").stat().st_size == 10
    regions.unregister()
