"""Mapped files: ranges, copy on write, and files that are not what they should be."""

import os
from pathlib import Path

import numpy as np
import pytest

from hekla.base.errors import ModelFileError, NotFoundError
from hekla.runtime.accounting import MemoryAccount
from hekla.runtime.errors import BoundsError, ChangedFileError, InUseError, ReleasedError, TruncatedFileError
from hekla.runtime.mapped import Access, Advice, MappedFile
from hekla.runtime.view import view_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "weights.bin"
    file.write_bytes(np.arange(5000, dtype=np.int32).tobytes())
    return file


def test_a_view_of_a_range_reads_the_file_and_cannot_write_it(path: Path) -> None:
    account = MemoryAccount()
    with MappedFile(path, account=account) as file:
        view = view_of(file, "i4", (10, 10), offset=400)
        assert (view.array == np.arange(100, 200).reshape(10, 10)).all()
        assert view.is_read_only
        with pytest.raises(ValueError, match="read-only"):
            view.array[0, 0] = 1
        with pytest.raises(InUseError, match=r"weights\.bin"):
            file.close()
        assert account.snapshot()["mapped"].current_bytes == 20000
        del view
    assert account.total.current_bytes == 0
    with pytest.raises(ReleasedError):
        file.prefetch()


def test_copy_on_write_changes_the_memory_and_not_the_file(path: Path) -> None:
    before = path.read_bytes()
    with MappedFile(path, access=Access.COPY_ON_WRITE) as file:
        view = view_of(file, "i4", (4,))
        view.array[...] = 9
        assert view.array.tolist() == [9, 9, 9, 9]
        del view
    assert path.read_bytes() == before


def test_a_truncated_file_is_refused_with_both_sizes(path: Path) -> None:
    with pytest.raises(TruncatedFileError) as caught:
        MappedFile(path, expected_bytes=30000)
    assert isinstance(caught.value, ModelFileError)
    assert (caught.value.expected_bytes, caught.value.got_bytes) == (30000, 20000)
    assert str(caught.value).startswith(f"{path}: expected 30000 bytes, the file has 20000")


def test_mapping_beyond_the_end_is_refused(path: Path) -> None:
    with MappedFile(path) as file:
        with pytest.raises(BoundsError, match="bytes 19996 to 20004 lie outside of the 20000"):
            view_of(file, "i4", (2,), offset=19996)
        with pytest.raises(BoundsError):
            file.advise(Advice.RANDOM, 20001)
        with pytest.raises(BoundsError):
            file.prefetch(-1, 5)


def test_an_empty_file_has_no_bytes_and_closes(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with MappedFile(empty) as file:
        assert bytes(file.memory()) == b""
        assert view_of(file, "f4", (0, 3)).shape == (0, 3)
        assert not file.prefetch()


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nothing\.bin: cannot be opened: No such file"):
        MappedFile(tmp_path / "nothing.bin")
    with pytest.raises(NotFoundError, match="is no plain file"):
        MappedFile(tmp_path)


@pytest.mark.parametrize("advice", list(Advice))
def test_advice_for_a_range_that_begins_inside_a_page_is_taken(path: Path, advice: Advice) -> None:
    with MappedFile(path) as file:
        assert file.advise(advice, 4100, 100)
        assert file.prefetch()
        assert bytes(file.memory(4100, 4)) == path.read_bytes()[4100:4104]


def test_a_file_that_changed_under_its_mapping_is_noticed(path: Path) -> None:
    with MappedFile(path) as file:
        file.check_unchanged()
        with path.open("ab") as more:
            more.write(b"more")
        with pytest.raises(ChangedFileError, match="the size changed while it was mapped, from 20000 to 20004"):
            file.check_unchanged()
        other = path.with_suffix(".new")
        other.write_bytes(b"x" * 20000)
        os.replace(other, path)
        with pytest.raises(ChangedFileError, match="the file changed"):
            file.check_unchanged()
        path.unlink()
        with pytest.raises(ChangedFileError, match="is gone"):
            file.check_unchanged()
