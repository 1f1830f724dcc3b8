"""Searches of a graph that lies on disk: what they read is there before they read it."""

import resource
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.dropping import drop_from_memory
from tests.vector.index.conftest import Floats

from hekla.kernels.graph_state import STATE_WORDS
from hekla.runtime.mapped import Advice, MappedFile
from hekla.runtime.view import view_of
from hekla.vector.index import GraphIndex
from hekla.vector.index.blob import index_of, write_index
from hekla.vector.index.cold import ENOUGH, ColdReads, is_in_memory


def waits() -> int:
    """How often this thread has waited for a page that nobody had asked the disk for."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_majflt


@pytest.mark.parametrize("own", [0, 8])
def test_a_search_waits_for_little_that_was_not_brought(
    index: GraphIndex, points: Floats, queries: Floats, tmp_path: Path, own: int
) -> None:
    built = index.compacted(own) if own else index
    write_index(built, tmp_path / "graph.bin")
    (tmp_path / "rows.bin").write_bytes(points.tobytes())
    file, rows_file = MappedFile(tmp_path / "graph.bin"), MappedFile(tmp_path / "rows.bin")
    for mapped in (file, rows_file):
        drop_from_memory(mapped.path)
        mapped.advise(Advice.RANDOM)
    blob = view_of(file, "u1", (file.size_bytes,)).array
    rows = view_of(rows_file, "f4", points.shape).array
    mapped_index = index_of(blob)
    if is_in_memory(mapped_index.graph.blocks):
        pytest.skip("this file system keeps its files in memory")
    ids = np.arange(len(points), dtype=np.uint64)
    asking, silent = (mapped_index.searcher(rows, ids) for _ in range(2))
    asking.expect_disk()
    before = waits()
    for query in queries[:3]:
        found = asking.one(query, 5, ef=40, allowed=None, dead=None, deadline_s=None)
        expected = built.search(query, 5, ef=40, originals=points)
        assert (found.rows == expected.rows).all()
        assert (found.distances == expected.distances).all()
        assert abs(found.blocks_read - expected.blocks_read) < 5  # what is on its way at a pause is read sooner
    asked = waits() - before
    for mapped in (file, rows_file):
        mapped.advise(Advice.DONT_NEED)
        drop_from_memory(mapped.path)
    before = waits()
    for query in queries[:3]:
        silent.one(query, 5, ef=40, allowed=None, dead=None, deadline_s=None)
    unasked = waits() - before
    # the interpreter's own pages may be missing too; small blocks are read as soon as they are told of
    assert asked < (0.3 if own == 0 else 0.6) * unasked
    assert unasked > 50


def test_it_is_over_once_searches_find_all_in_memory(index: GraphIndex, points: Floats) -> None:
    assert is_in_memory(index.graph.blocks)
    graph = index.graph
    cold = ColdReads(graph.blocks, [graph.roots], [points], is_small=False)
    for _ in range(ENOUGH):
        assert cold.is_needed
        search = cold.begin()
        search.between(np.arange(100, dtype=np.uint64), np.arange(5, dtype=np.uint64), np.full(STATE_WORDS, 4))
        assert search.looked
        cold.note(search)
    assert not cold.is_needed


def test_no_row_is_asked_for_that_a_damaged_block_made_up(index: GraphIndex, points: Floats) -> None:
    blocks = index.graph.blocks.copy()
    blocks[:, -32:] = 2**31 - 5
    search = ColdReads(blocks, [], [points], is_small=True).begin()
    search.between(np.arange(100, dtype=np.uint64), np.arange(5, dtype=np.uint64), np.full(STATE_WORDS, 4))
    assert search.missed == 0
