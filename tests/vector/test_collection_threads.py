"""Writers, readers and upkeep at the same time: no torn read, nothing lost, nothing back from the dead."""

import random
import threading
from pathlib import Path

import numpy as np
import pytest

from hekla.vector.collection import Collection
from hekla.vector.filters import Filter, Range
from hekla.vector.point import Point
from hekla.vector.queries import Nearest, Search
from hekla.vector.records import ALL
from hekla.vector.schema import CollectionSchema, FieldSchema, VectorSchema

SCHEMA = CollectionSchema(
    {"": VectorSchema(4, "l2")}, fields={"stamp": FieldSchema("integer")}, seal_points=60, sync="off"
)
IDS_EACH = 100


def point(key: int, stamp: int) -> Point:
    return Point(key, {"": [key, stamp, stamp, key]}, {"stamp": stamp, "key": key})


def write(collection: Collection, worker: int, rounds: int, left: dict[int, int]) -> None:
    """Change this worker's ids at random, noting what is there at the end."""
    rng = random.Random(worker)
    first = worker * IDS_EACH
    for stamp in range(1, rounds + 1):
        keys = rng.sample(range(first, first + IDS_EACH), 7)
        if rng.random() < 0.6:
            collection.upsert([point(key, stamp) for key in keys])
            left.update(dict.fromkeys(keys, stamp))
        else:
            collection.delete(keys)
            for key in keys:
                left.pop(key, None)


def read(collection: Collection, is_over: threading.Event, wrong: list[str]) -> None:
    """Look for points whose parts do not belong together, and for one point found twice."""
    rng = random.Random(7)
    while not is_over.is_set():
        at = [rng.randrange(400), rng.randrange(50), 0, 0]
        found = collection.query(Search(Nearest(at), 20, filter=Filter((Range("stamp", gte=0),))), ALL).points
        keys = [each.id for each in found]
        if len(set(keys)) != len(keys):
            wrong.append(f"twice: {keys}")
        for each in found:
            assert each.payload is not None
            assert each.vectors is not None
            stamp = each.payload["stamp"]
            if not np.array_equal(np.asarray(each.vectors[""]), [each.id, stamp, stamp, each.id]):
                wrong.append(f"torn: {each}")


def run(folder: Path, rounds: int, writers: int) -> None:
    left: dict[int, int] = {}
    wrong: list[str] = []
    is_over = threading.Event()
    with Collection.create(folder, SCHEMA) as collection:
        readers = [threading.Thread(target=read, args=(collection, is_over, wrong)) for _ in range(2)]
        threads = [threading.Thread(target=write, args=(collection, i, rounds, left)) for i in range(writers)]
        for thread in readers + threads:
            thread.start()
        for thread in threads:
            thread.join()
        is_over.set()
        for thread in readers:
            thread.join()
        assert collection.wait_settled(60)
        check(collection, left)
        status = collection.status()
        assert status.segments
        assert status.tail_rows < SCHEMA.seal_points
    with Collection.open(folder) as collection:
        check(collection, left)
        collection.optimise()
        check(collection, left)
    assert not wrong


def check(collection: Collection, left: dict[int, int]) -> None:
    records, after = collection.scroll(limit=10_000)
    assert after is None
    assert {record.id: record.payload and record.payload["stamp"] for record in records} == left


def test_writers_readers_and_upkeep_together_lose_and_tear_nothing(tmp_path: Path) -> None:
    run(tmp_path / "points", rounds=60, writers=4)


@pytest.mark.slow
def test_eight_writers_for_long_lose_and_tear_nothing(tmp_path: Path) -> None:
    run(tmp_path / "points", rounds=700, writers=8)
