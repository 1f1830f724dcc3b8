"""Indexes over points in memory keep up with writers, and readers of before see what was before."""

import random
import threading
from pathlib import Path

import numpy as np
import pytest

from hekla.vector import (
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    Match,
    Nearest,
    Point,
    Search,
    SparseSchema,
    SparseVector,
    VectorSchema,
    Words,
)
from hekla.vector.execute import run
from hekla.vector.payload.part_fields import GrowingFields, select

FIELDS = {"n": FieldSchema("integer"), "text": FieldSchema("text")}
SCHEMA = CollectionSchema({"": VectorSchema(2, "l2")}, sparse={"s": SparseSchema()}, fields=FIELDS)
THREE = Filter((Match("n", (3,)),))
ONE = Search(Nearest(SparseVector(np.array([2], np.uint32), np.ones(1, np.float32)), "s"), 1000)
CAT = Search(Words("cat", "text"), 1000)


def point(number: int) -> Point:
    sparse = SparseVector(np.array([number % 5, 7], np.uint32), np.array([1, number + 1], np.float32))
    payload = {"n": number % 4, "text": "a cat" if number % 3 == 0 else "a dog"}
    return Point(number, {"": np.zeros(2), "s": sparse}, payload)


def found_by(collection: Collection) -> list[list[int]]:
    """Return the numbers that a filter, a sparse vector and a word find."""
    filtered = [int(str(record.id)) for record in collection.scroll(filter_=THREE, limit=1000)[0]]
    scored = [[int(str(each.id)) for each in collection.query(search).points] for search in (ONE, CAT)]
    return [filtered, *(sorted(numbers) for numbers in scored)]


def right_below(count: int) -> list[list[int]]:
    numbers = range(count)
    return [[n for n in numbers if n % 4 == 3], [n for n in numbers if n % 5 == 2], [n for n in numbers if n % 3 == 0]]


def test_indexes_keep_up_with_writers_and_old_versions_stay(tmp_path: Path) -> None:
    rng = random.Random(4)
    with Collection.create(tmp_path / "c", SCHEMA, has_upkeep=False) as collection:
        kept = []
        written = 0
        while written < 300:
            more = rng.choice((1, 1, 2, 70))
            collection.upsert([point(n) for n in range(written, written + more)])
            written += more
            if rng.random() < 0.5:
                assert found_by(collection) == right_below(written)
            kept.append((written, collection._store.version))
        for count, version in kept:
            words = select(version.parts[0], THREE, version.schema)
            assert int(np.bitwise_count(words).sum()) == len(right_below(count)[0])
            assert len(run(version, ONE).hits) == len(right_below(count)[1])
            assert len(run(version, CAT).hits) == len(right_below(count)[2])


def test_a_writer_that_comes_to_rows_a_follower_lacks_brings_it_up(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "c", SCHEMA, has_upkeep=False) as collection:
        collection.upsert([point(n) for n in range(10)])
        tail = collection._store.version.parts[0].source
        late = GrowingFields(FIELDS)
        tail.followers["late"] = late  # type: ignore[union-attr]  # it is a tail: nothing is sealed
        collection.upsert([point(10)])
        rows = collection._store.version.parts[0].rows
        assert late._rows == 11
        assert late.as_of(rows)["n"].numbers()[0].tolist() == [n % 4 for n in range(11)]


@pytest.mark.slow
def test_readers_beside_writers_see_whole_batches(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "c", SCHEMA, has_upkeep=False) as collection:
        wrong: list[object] = []
        is_done = threading.Event()

        def read() -> None:
            while not is_done.is_set():
                version = collection._store.version
                count = version.live
                for search, right in ((ONE, right_below(count)[1]), (CAT, right_below(count)[2])):
                    if len(run(version, search).hits) != len(right):
                        wrong.append((count, search))
                if int(np.bitwise_count(select(version.parts[0], THREE, SCHEMA)).sum()) != len(right_below(count)[0]):
                    wrong.append(count)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for first in range(0, 300, 3):
            collection.upsert([point(n) for n in range(first, first + 3)])
        is_done.set()
        for reader in readers:
            reader.join()
        assert not wrong
