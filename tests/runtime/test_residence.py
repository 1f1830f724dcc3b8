"""Pages of mapped files: which are here, and asking for those that are not."""

import mmap
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.dropping import drop_from_memory

from hekla.runtime.mapped import Advice, MappedFile
from hekla.runtime.residence import ask_for, is_resident
from hekla.runtime.view import view_of

PAGES = 64


def test_what_is_asked_for_comes_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "pages.bin"
    path.write_bytes(bytes(PAGES * mmap.PAGESIZE))
    drop_from_memory(path)
    with MappedFile(path) as file:
        file.advise(Advice.RANDOM)
        view = view_of(file, "u1", (PAGES * mmap.PAGESIZE,))
        first = view.array.ctypes.data
        here = [is_resident(first + page * mmap.PAGESIZE) for page in range(PAGES)]
        if all(here):
            pytest.skip("this file system keeps its files in memory")
        assert ask_for(first + 20 * mmap.PAGESIZE - 1, 2)  # the ends of two pages
        assert view.array[20 * mmap.PAGESIZE - 1] == view.array[20 * mmap.PAGESIZE] == 0  # waits for them
        now = [is_resident(first + page * mmap.PAGESIZE + 7) for page in range(PAGES)]
        assert [page for page in range(PAGES) if now[page] and not here[page]] == [19, 20]
        del view


def test_what_is_no_file_is_here_and_is_left_alone() -> None:
    array = np.ones(100_000)
    assert is_resident(array.ctypes.data)
    ask_for(array.ctypes.data, array.nbytes)
    assert (array == 1).all()
    assert not ask_for(mmap.PAGESIZE, 10)  # where nothing is mapped
    assert is_resident(mmap.PAGESIZE)
    assert not ask_for(array.ctypes.data, 0)
