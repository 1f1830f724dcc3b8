"""Searches of a graph that lies on disk: what they read is there before they read it."""

import resource
from pathlib import Path

import pytest
from tests.runtime.dropping import drop_from_memory
from tests.vector.index.conftest import Floats

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
    if is_in_memory(mapped_index.graph):
        pytest.skip("this file system keeps its files in memory")
    cold = ColdReads(mapped_index.graph, [rows])
    cold.bring_roots()
    waited = 0
    for query in queries[:3]:
        cold.bring(query, 5, 40)
        before = waits()
        found = mapped_index.search(query, 5, ef=40, originals=rows)
        waited += waits() - before
        expected = built.search(query, 5, ef=40, originals=points)
        assert (found.rows == expected.rows).all()
        assert (found.distances == expected.distances).all()
    for mapped in (file, rows_file):
        mapped.advise(Advice.DONT_NEED)
        drop_from_memory(mapped.path)
    before = waits()
    mapped_index.search(queries[0], 5, ef=40, originals=rows)
    unasked = waits() - before
    assert unasked > 50
    # the interpreter's own pages may be missing too; small blocks are read as soon as they are told of
    assert waited <= (2 if own == 0 else unasked // 2)


def test_it_is_over_once_searches_find_all_in_memory(index: GraphIndex, points: Floats, queries: Floats) -> None:
    assert is_in_memory(index.graph)
    cold = ColdReads(index.graph, [points])
    for query in queries[:ENOUGH]:
        assert cold.is_needed
        cold.bring(query, 5, 20)
    assert not cold.is_needed
