"""Writes that are under way together: each is told its own end, in the order of the calls, and survives once told."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.vector.crashing_disk import KilledAt, killed
from tests.vector.failing_disk import FullAt

from hekla.base.errors import ConflictError
from hekla.vector import Collection, CollectionSchema, DiskError, Point, PointError, VectorSchema
from hekla.vector.disk import Disk

SCHEMA = CollectionSchema({"": VectorSchema(2, "l2")}, seal_points=40)


def point(key: int, value: float = 0.0) -> Point:
    return Point(key, {"": [key, value]}, {"value": value})


def keys(collection: Collection) -> set[int]:
    return {int(str(record.id)) for record in collection.scroll(limit=10_000)[0]}


class Gate(Disk):
    """Holds the log's sync until it is opened."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.is_open.set()
        self.has_begun = threading.Event()
        self.syncs = 0

    def sync(self, descriptor: int) -> None:
        self.has_begun.set()
        assert self.is_open.wait(30)
        self.syncs += 1
        super().sync(descriptor)


def test_writes_that_wait_for_one_sync_share_the_next(tmp_path: Path) -> None:
    gate = Gate()
    with Collection.create(tmp_path / "points", SCHEMA, disk=gate, has_upkeep=False) as collection:
        gate.is_open.clear()
        gate.has_begun.clear()
        first = collection.submit([point(0)])
        assert gate.has_begun.wait(30)
        before = gate.syncs
        others = [collection.submit([point(key)]) for key in range(1, 30)]
        assert not first.done()
        assert len(collection) == 0, "not on disk, not seen"
        gate.is_open.set()
        sequences = [future.result(30) for future in (first, *others)]
        assert keys(collection) == set(range(30))
        assert gate.syncs == before + 2
        assert len(set(sequences)) == 2


def test_writes_count_in_the_order_of_the_calls(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "points", SCHEMA) as collection:
        for value in range(20):
            for key in range(5):
                collection.submit([point(key, value)])
        collection.submit([point(9)])
        assert collection.delete([9]) == 1
        collection.submit([point(7)])
        collection.flush()
        found = {record.id: record.payload for record in collection.retrieve(range(10))}
        assert found == {**{key: {"value": 19} for key in range(5)}, 7: {"value": 0.0}}


def test_what_is_submitted_is_the_callers_again_at_once(tmp_path: Path) -> None:
    buffer = np.zeros(2, np.float32)
    payload: dict[str, Any] = {}
    with Collection.create(tmp_path / "points", SCHEMA, has_upkeep=False) as collection:
        for key in range(50):
            buffer[:] = key
            payload["value"] = key
            collection.submit([Point(key, {"": buffer}, payload)])
        collection.flush()
        for record in collection.retrieve(range(50)):
            assert record.vectors is not None
            assert record.payload == {"value": record.id}
            assert np.asarray(record.vectors[""]).tolist() == [record.id, record.id]


def test_a_wrong_point_is_told_its_sender_alone(tmp_path: Path) -> None:
    gate = Gate()
    with Collection.create(tmp_path / "points", SCHEMA, disk=gate, has_upkeep=False) as collection:
        gate.is_open.clear()
        first = collection.submit([point(0)])
        good = collection.submit([point(1)])
        wrong = collection.submit([point(2), Point(3, {"": [1, 2, 3]})])
        not_finite = collection.submit([Point(4, {"": [float("nan"), 1]})])
        last = collection.submit([point(5)])
        gate.is_open.set()
        for future in (first, good, last):
            future.result(30)
        with pytest.raises(PointError, match=r"\$.points\[1\].vector: expected 2 numbers, got 1x3"):
            wrong.result(30)
        with pytest.raises(PointError, match="NaN"):
            not_finite.result(30)
        assert keys(collection) == {0, 1, 5}
        with pytest.raises(PointError, match=r"\$.points\[0\].payload: is no JSON"):
            collection.submit([Point(6, {"": [1, 2]}, {"value": object()})])


def test_a_refused_batch_is_named_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    disk = FullAt(1 << 30)
    with Collection.create(tmp_path / "points", SCHEMA, disk=disk, has_upkeep=False) as collection:
        collection.submit([point(0)]).result(30)
        disk.left = 0
        refused = [collection.submit([point(key)]) for key in range(1, 4)]
        errors = [future.exception(30) for future in refused]
        disk.mend()
        assert all(isinstance(error, DiskError) for error in errors)
        assert "batch 2: cannot be written" in str(errors[0])
        assert keys(collection) == {0}
    with Collection.open(tmp_path / "points", has_upkeep=False) as collection:
        assert keys(collection) == {0}


def test_a_cancelled_write_is_not_written(tmp_path: Path) -> None:
    gate = Gate()
    with Collection.create(tmp_path / "points", SCHEMA, disk=gate, has_upkeep=False) as collection:
        gate.is_open.clear()
        gate.has_begun.clear()
        collection.submit([point(0)])
        assert gate.has_begun.wait(30)
        second = collection.submit([point(1)])
        assert second.cancel()
        gate.is_open.set()
        collection.flush()
        assert keys(collection) == {0}


def test_what_is_called_back_may_write(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "points", SCHEMA, has_upkeep=False) as collection:
        is_written = threading.Event()

        def again(_: object) -> None:
            collection.upsert([point(2)])
            is_written.set()

        collection.submit([point(1)]).add_done_callback(again)
        assert is_written.wait(30)
        assert keys(collection) == {1, 2}


def test_asyncio_awaits_it(tmp_path: Path) -> None:
    async def write(collection: Collection) -> None:
        await asyncio.gather(*(asyncio.wrap_future(collection.submit([point(key)])) for key in range(100)))

    with Collection.create(tmp_path / "points", SCHEMA) as collection:
        asyncio.run(write(collection))
        assert keys(collection) == set(range(100))


def test_closing_writes_what_was_submitted_and_then_refuses(tmp_path: Path) -> None:
    collection = Collection.create(tmp_path / "points", SCHEMA)
    futures = [collection.submit([point(key)]) for key in range(200)]
    collection.close()
    assert all(future.done() for future in futures)
    with pytest.raises(ConflictError, match="is closed"):
        collection.submit([point(1)])
    with pytest.raises(ConflictError, match="is closed"):
        collection.upsert([point(1)])
    with Collection.open(tmp_path / "points") as again:
        assert keys(again) == set(range(200))


def test_threads_that_wait_and_one_that_does_not_write_together(tmp_path: Path) -> None:
    wrong: list[BaseException] = []

    def write(first: int) -> None:
        try:
            for key in range(first, first + 40):
                collection.upsert([point(key)])
                assert collection.retrieve([key]), "an acknowledged point is seen"
                if key % 10 == 3:
                    collection.delete([key])
        except BaseException as error:  # noqa: BLE001  # told below
            wrong.append(error)

    with Collection.create(tmp_path / "points", SCHEMA) as collection:
        threads = [threading.Thread(target=write, args=(1000 * i,)) for i in range(1, 7)]
        for thread in threads:
            thread.start()
        futures = [collection.submit([point(key)]) for key in range(300)]
        for thread in threads:
            thread.join()
        for future in futures:
            future.result(30)
        assert not wrong
        right = set(range(300)) | {1000 * i + k for i in range(1, 7) for k in range(40) if k % 10 != 3}
        assert keys(collection) == right


def telling(key: int, acknowledge: Callable[[Any], None]) -> "Callable[[Future[int]], None]":
    """Return what says that a point is on disk, once it is."""
    return lambda future: acknowledge(key) if future.exception() is None else None


@pytest.mark.slow
@pytest.mark.parametrize("cuts_power", [False, True])
def test_killed_at_every_step_what_was_told_done_is_there(tmp_path: Path, cuts_power: bool) -> None:
    def run_in(folder: Path) -> Callable[[Disk, Callable[[Any], None]], None]:
        def run(disk: Disk, acknowledge: Callable[[Any], None]) -> None:
            with Collection.create(folder, SCHEMA, disk=disk, has_upkeep=False) as collection:
                for first in range(0, 60, 12):
                    for key in range(first, first + 12):
                        collection.submit([point(key, 1.0)]).add_done_callback(telling(key, acknowledge))
                    if first % 24 == 0:
                        collection.optimise(is_whole=False)
                collection.flush()

        return run

    has_ended, calls = False, 0
    while not has_ended:
        folder = tmp_path / str(calls) / "points"
        folder.parent.mkdir()
        acknowledged, has_ended = killed(run_in(folder), KilledAt(calls, cuts_power=cuts_power))
        calls += 1
        if not (folder / "manifest.json").exists():
            assert not acknowledged
            continue
        with Collection.open(folder, has_upkeep=False) as collection:
            there = keys(collection)
            assert there >= set(acknowledged), f"killed at call {calls}"
            assert there == set(range(len(there))), "in the order of the calls, without a gap"
            assert collection.status().damaged == ()
    assert calls > 20, "the steps are no longer all counted"


class SlowDisk(Disk):
    """A disk that takes its time to sync, and counts."""

    syncs = 0

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        time.sleep(0.003)  # what such a disk is like; nothing waits for it to pass


def syncs_of_writers(folder: Path, writers: int, writes: int) -> int:
    disk = SlowDisk()
    with Collection.create(folder, SCHEMA, disk=disk, has_upkeep=False) as collection:
        before = disk.syncs

        def write(writer: int) -> None:
            for key in range(writes):
                collection.upsert([point(1000 * writer + key)])

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(collection) == writers * writes
        return disk.syncs - before


def test_writers_that_come_back_share_each_sync_and_not_every_other(tmp_path: Path) -> None:
    # A first comer who wrote alone, the other seven after it: 160 / 4.5 = 36 syncs. On a busy machine one try may be.
    assert min(syncs_of_writers(tmp_path / str(i), 8, 20) for i in range(3)) < 30


def test_a_writer_left_alone_does_not_wait_for_those_who_went(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "points", SCHEMA, has_upkeep=False) as collection:
        others = [threading.Thread(target=collection.upsert, args=([point(key)],)) for key in range(8)]
        for thread in others:
            thread.start()
        for thread in others:
            thread.join()
        for key in range(100, 120):
            collection.upsert([point(key)])
        assert collection._commits._expected == 1
        assert len(collection) == 28
