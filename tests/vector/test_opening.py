"""Opening: the same cost for any size, one writer, readers beside it, copies that stand still, the same bytes twice."""

import os
import random
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.vector.test_refusing_disk import in_child

from hekla.base.errors import InputError, NotFoundError
from hekla.vector import Collection, CollectionSchema, FieldSchema, LockedError, Match, Point, VectorSchema
from hekla.vector.filters import Filter

SCHEMA = CollectionSchema({"": VectorSchema(8, "l2")}, fields={"colour": FieldSchema("keyword")}, sync="off")


def fill(folder: Path, count: int, schema: CollectionSchema = SCHEMA) -> None:
    rng = np.random.default_rng(1)
    with Collection.create(folder, schema, has_upkeep=False) as collection:
        vectors = rng.normal(size=(count, 8)).astype(np.float32)
        payloads = [{"colour": ["red", "green"][i % 2]} for i in range(count)]
        collection.upsert_arrays(np.arange(count, dtype=np.uint64), vectors, payloads)
        collection.optimise()


def upsert(collection: Collection, key: int) -> None:
    collection.upsert_arrays(np.array([key], np.uint64), np.zeros((1, 8), np.float32))


def read_bytes() -> int:
    """Bytes this process has read by system calls."""
    return int(Path("/proc/self/io").read_text().split()[1])


def touched_kb() -> int:
    """Return kilobytes of mapped segments that are in this process's memory."""
    total, is_segment = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            is_segment = "segment-" in line
        elif is_segment and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


def cost_of_opening(folder: Path) -> tuple[int, int]:
    """Return bytes read by calls and kilobytes of segments touched, in a process of its own."""

    def run() -> None:
        before = read_bytes()
        with Collection.open(folder, is_read_only=True) as collection:
            raise SystemExit(f"{read_bytes() - before} {touched_kb()} {len(collection)}")

    read, touched, _ = in_child(run).removeprefix("SystemExit: ").split()
    return int(read), int(touched)


def test_opening_reads_no_more_of_a_large_collection_than_of_a_small(tmp_path: Path) -> None:
    for count in (200, 9_900):
        fill(tmp_path / str(count), count)
    assert next((tmp_path / "9900").glob("segment-*.hks")).stat().st_size > 600_000
    small, large = (cost_of_opening(tmp_path / name) for name in ("200", "9900"))
    assert abs(small[0] - large[0]) < 1000
    assert large[1] <= small[1] + 128, (
        "pages touched: the header's and the table's, and what the system maps around them"
    )


def test_a_second_writer_is_told_who_has_it_and_a_reader_is_let_in(tmp_path: Path) -> None:
    fill(tmp_path / "points", 20)

    def write() -> None:
        with pytest.raises(LockedError, match=rf"process {os.getppid()} has it open.*open it read-only"):
            Collection.open(tmp_path / "points")

    def read() -> None:
        with Collection.open(tmp_path / "points", is_read_only=True) as reader:
            assert len(reader) == 21
            assert reader.count(Filter((Match("colour", ("blue",)),))) == 1

    with Collection.open(tmp_path / "points") as writer:
        assert in_child(write) == ""
        writer.upsert([Point(100, {"": [1] * 8}, {"colour": "blue"})])
        assert in_child(read) == ""
    with Collection.open(tmp_path / "points"):
        pass


def test_readers_opened_beside_a_writer_that_merges_find_a_whole_collection(tmp_path: Path) -> None:
    fill(tmp_path / "points", 50)
    is_over = threading.Event()

    def write() -> None:
        rng = random.Random(1)
        with Collection.open(tmp_path / "points", has_upkeep=False) as writer:
            while not is_over.is_set():
                writer.upsert([Point(rng.randrange(50), {"": [rng.random()] * 8}, {"colour": "red"})])
                writer.optimise()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(40):
            with Collection.open(tmp_path / "points", is_read_only=True) as reader:
                assert reader.status().damaged == ()
                assert len(reader.search([0] * 8, 50)) == 50
    finally:
        is_over.set()
        thread.join()


def test_a_copy_stands_still_while_the_collection_goes_on(tmp_path: Path) -> None:
    fill(tmp_path / "points", 30)
    with Collection.open(tmp_path / "points", has_upkeep=False) as collection:
        collection.delete([0])
        collection.upsert([Point(50, {"": [1] * 8}, {"colour": "blue"})])
        collection.snapshot(tmp_path / "copy")
        collection.delete(list(range(30)))
        collection.optimise()
        assert len(collection) == 1
    segment = next((tmp_path / "copy").glob("segment-*.hks"))
    assert segment.stat().st_nlink == 1, "the collection dropped its name for it"
    with Collection.open(tmp_path / "copy", has_upkeep=False) as copy:
        assert len(copy) == 30
        assert copy.verify() == []
        copy.upsert([Point(0, {"": [2] * 8}, {})])
    with Collection.open(tmp_path / "points") as collection:
        assert len(collection) == 1


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "lock"}


@pytest.mark.parametrize("count", [500, pytest.param(10_500, marks=pytest.mark.slow)])
def test_the_same_points_give_the_same_bytes(tmp_path: Path, count: int) -> None:
    for name in ("one", "other"):
        fill(tmp_path / name, count)
    one, other = bytes_of(tmp_path / "one"), bytes_of(tmp_path / "other")
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
    with Collection.open(tmp_path / "one", is_read_only=True) as collection:
        assert collection.status().segments[0].has_graph == (count > 10_000)


@pytest.mark.slow
def test_a_damaged_graph_leads_no_search_out_of_its_bytes(tmp_path: Path) -> None:
    """In processes of their own, so that a crash of the native code is seen and not suffered."""
    fill(tmp_path / "points", 10_500)
    path = next((tmp_path / "points").glob("segment-*.hks"))
    whole = path.read_bytes()
    with Collection.open(tmp_path / "points", is_read_only=True) as collection:
        graph = next(part for part in collection._store.version.parts if len(part.rows))  # where it lies in the file
        at, size, *_ = graph.source.file._places["graph."]  # type: ignore[union-attr]  # a segment's
    rng = random.Random(3)
    for trial in range(12):
        data = bytearray(whole)
        if trial == 0:
            data[at : at + 4096] = rng.randbytes(4096)  # the graph's own header
        else:
            for _ in range(20_000):
                place = at + 4096 + rng.randrange(size - 4096)
                data[place] = rng.choice((data[place] ^ 1 << rng.randrange(8), 0xFF, rng.randrange(256)))
        path.write_bytes(data)

        def run(trial: int = trial) -> None:
            numbers = np.random.default_rng(trial).normal(size=(100, 8)).astype(np.float32)
            with Collection.open(tmp_path / "points", is_read_only=True) as collection:
                for query in numbers:
                    try:
                        found = collection.search(query, 10)
                    except InputError:
                        continue  # a mean or a scale that became NaN
                    assert len({point.id for point in found}) == len(found) <= 10
                    assert all(0 <= int(str(point.id)) < 10_500 for point in found)
                    found = collection.search(query, 10, filter=Filter((Match("colour", ("red",)),)))
                    assert all(int(str(point.id)) % 2 == 0 for point in found)
                assert "graph." in collection.verify()[0]

        assert in_child(run) == "", f"trial {trial}"


def test_a_file_is_no_collection(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(NotFoundError, match="holds no collection"):
        Collection.open(tmp_path / "file")


def test_rows_that_the_log_says_are_deleted_stay_so_when_the_log_goes(tmp_path: Path) -> None:
    """Also of a segment of which others were deleted before, and written down with its file."""
    folder, killed = tmp_path / "points", tmp_path / "killed"
    fill(folder, 3)
    with Collection.open(folder, has_upkeep=False) as collection:
        collection.delete([0])
        upsert(collection, 7)  # what is sealed at the end, deletions with it
    with Collection.open(folder, has_upkeep=False) as collection:
        collection.delete([1])
        upsert(collection, 8)
        shutil.copytree(folder, killed)
    for _ in range(3):  # the first has it of the log, and writes what the others have
        with Collection.open(killed, has_upkeep=False) as collection:
            assert [record.id for record in collection.scroll()[0]] == [2, 7, 8]
            assert len(collection) == 3


def test_the_lock_says_who_holds_it_whoever_held_it_before(tmp_path: Path) -> None:
    fill(tmp_path / "points", 10)
    (tmp_path / "points/lock").write_text("123456789")  # by a process with a longer number
    with (
        Collection.open(tmp_path / "points"),
        pytest.raises(LockedError, match=f"process {os.getpid()} has it open for writing"),
    ):
        Collection.open(tmp_path / "points")
