"""Eight writers, eight readers and upkeep for minutes: every batch is seen whole or not at all, forwards only.

Each writer owns groups of ids and writes a whole group at a time, with one stamp in vector, second vector, sparse
vector and payload of every point. A reader that asks for a group gets one stamp everywhere, or no point at all where it
was deleted, and never an older stamp than it saw before.
"""

import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hekla.vector import (
    ALL,
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    HasId,
    Match,
    Nearest,
    Point,
    Search,
    SparseSchema,
    SparseVector,
    VectorSchema,
)

GROUP = 6
SCHEMA = CollectionSchema(
    {"": VectorSchema(4, "l2"), "byte": VectorSchema(3, "l2", "i8")},
    {"s": SparseSchema()},
    fields={"stamp": FieldSchema("integer"), "group": FieldSchema("integer")},
    seal_points=150,
)
MINUTES = float(os.environ.get("HEKLA_LONG_MINUTES", "2"))


def members(group: int) -> list[int]:
    return list(range(group * GROUP, group * GROUP + GROUP))


def points(group: int, stamp: int) -> list[Point]:
    return [
        Point(
            key,
            {
                "": [key, stamp, stamp, -key],
                "byte": [stamp % 100, key % 100, stamp // 100 % 100],
                "s": SparseVector(np.array([key], np.uint32), np.array([stamp + 1], np.float32)),
            },
            {"stamp": stamp, "group": group, "even": stamp % 2 == 0},
        )
        for key in members(group)
    ]


class World:
    """What all threads share."""

    def __init__(self, collection: Collection, writers: int, groups_each: int) -> None:
        self.collection, self.groups_each = collection, groups_each
        self.groups = writers * groups_each
        self.is_over = threading.Event()
        self.wrong: list[str] = []
        self.left: dict[int, int] = {}  # group -> stamp of what its writer wrote last
        self.written = self.read = 0

    def write(self, worker: int) -> None:
        rng = random.Random(worker)
        stamp = 0
        while not self.is_over.is_set():
            stamp += 1
            group = worker * self.groups_each + rng.randrange(self.groups_each)
            kind = rng.random()
            if kind < 0.75:
                self.collection.upsert(points(group, stamp))
                self.left[group] = stamp
            elif kind < 0.9:
                self.collection.delete(members(group))
                self.left.pop(group, None)
            else:
                self.collection.delete(Filter((Match("group", (group,)),)))
                self.left.pop(group, None)
            self.written += 1

    def look(self, worker: int) -> None:
        rng = random.Random(1000 + worker)
        seen: dict[int, int] = {}
        ways: list[Callable[[int], list[tuple[int, int]]]] = [self.by_ids, self.by_filter, self.by_vector, self.by_page]
        while not self.is_over.is_set() and not self.wrong:
            group = rng.randrange(self.groups)
            found = ways[rng.randrange(len(ways))](group)
            stamps = {stamp for _, stamp in found}
            keys = sorted(key for key, _ in found)
            if keys not in ([], members(group)) or len(stamps) > 1:
                self.wrong.append(f"group {group} torn: {found}")
            for stamp in stamps:
                if stamp < seen.get(group, 0):
                    self.wrong.append(f"group {group} went back from {seen[group]} to {stamp}")
                seen[group] = stamp
            self.read += 1

    def by_ids(self, group: int) -> list[tuple[int, int]]:
        return [self.whole(r.id, r.payload, r.vectors) for r in self.collection.retrieve(members(group), ALL)]

    def by_filter(self, group: int) -> list[tuple[int, int]]:
        search = Search(Nearest([0, 0, 0, 0]), 50, filter=Filter((Match("group", (group,)),)))
        return [self.whole(p.id, p.payload, p.vectors) for p in self.collection.query(search, ALL).points]

    def by_vector(self, group: int) -> list[tuple[int, int]]:
        search = Search(Nearest([50, 50, 50], "byte"), 50, filter=Filter((HasId(tuple(members(group))),)))
        return [self.whole(p.id, p.payload, p.vectors) for p in self.collection.query(search, ALL).points]

    def by_page(self, group: int) -> list[tuple[int, int]]:
        records, _ = self.collection.scroll(after=members(group)[0], limit=GROUP, wanted=ALL)
        return [self.whole(r.id, r.payload, r.vectors) for r in records if r.id in members(group)]

    def whole(self, id_: object, payload: object, vectors: object) -> tuple[int, int]:
        """Return (id, stamp) of a point, noting one whose parts are of different writes."""
        assert isinstance(payload, dict)
        assert isinstance(vectors, dict)
        key, stamp = int(str(id_)), int(payload["stamp"])
        (right,) = [point for point in points(key // GROUP, stamp) if point.id == key]
        dense = all(np.array_equal(np.asarray(vectors[name]), np.asarray(right.vectors[name])) for name in ("", "byte"))
        if not dense or vectors["s"].values.tolist() != [stamp + 1] or payload != right.payload:
            self.wrong.append(f"point {key} torn: {payload} {vectors}")
        return key, stamp


def check(collection: Collection, left: dict[int, int]) -> None:
    records, after = collection.scroll(limit=100_000)
    assert after is None
    found = {int(str(record.id)): record.payload and record.payload["stamp"] for record in records}
    assert found == {key: stamp for group, stamp in left.items() for key in members(group)}
    assert len(collection) == len(found)
    assert collection.status().damaged == ()


def run(folder: Path, seconds: float, *, writers: int, readers: int, groups_each: int, background: int = 0) -> World:
    with Collection.create(folder, SCHEMA) as collection:
        world = World(collection, writers, groups_each)
        if background:  # what is merged into a segment with a graph, while all this goes on
            rng = np.random.default_rng(3)
            keys = np.arange(1 << 40, (1 << 40) + background, dtype=np.uint64)
            collection.upsert_arrays(keys, rng.normal(1e6, 1, (background, 4)).astype(np.float32))
        threads = [threading.Thread(target=world.write, args=(i,)) for i in range(writers)]
        threads += [threading.Thread(target=world.look, args=(i,)) for i in range(readers)]
        for thread in threads:
            thread.start()
        due, number = time.monotonic() + seconds, 0
        while not world.is_over.wait(min(seconds / 4, 10)) and time.monotonic() < due and not world.wrong:
            number += 1
            copy = folder.with_name(f"copy-{number}")
            collection.snapshot(copy)
            with Collection.open(copy, is_read_only=True) as snapshot:
                assert len({r.id for r in snapshot.scroll(limit=100_000)[0]}) == len(snapshot)
                stamps: dict[int, set[int]] = {}
                for record in snapshot.scroll(limit=100_000)[0]:
                    if record.payload:
                        stamps.setdefault(record.payload["group"], set()).add(record.payload["stamp"])
                assert all(len(each) == 1 for each in stamps.values()), "a snapshot holds whole batches"
                assert snapshot.status().damaged == ()
            shutil.rmtree(copy)
        world.is_over.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert world.wrong == []
        assert collection.wait_settled(120)
        if background:
            collection.delete(keys.tolist())
        check(collection, world.left)
    with Collection.open(folder) as collection:
        check(collection, world.left)
        assert collection.verify() == []
        collection.optimise()
        check(collection, world.left)
    return world


def test_batches_are_seen_whole_by_readers(tmp_path: Path) -> None:
    world = run(tmp_path / "points", 1.5, writers=3, readers=3, groups_each=4)
    assert world.written > 20
    assert world.read > 20


def test_a_torn_batch_would_be_noticed(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "points", SCHEMA) as collection:
        world = World(collection, 1, 1)
        collection.upsert(points(0, 1))
        collection.upsert(points(0, 2)[:2])
        world.look(0)
        assert "torn" in world.wrong[0]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("background", [0, 12_000])
def test_eight_writers_and_eight_readers_for_minutes(tmp_path: Path, background: int) -> None:
    """Set HEKLA_LONG_MINUTES for longer or shorter."""
    world = run(tmp_path / "points", 60 * MINUTES, writers=8, readers=8, groups_each=20, background=background)
    assert world.written > 500
    assert world.read > 500
