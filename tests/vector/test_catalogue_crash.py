"""Killed while a collection is deleted or replaced, the catalogue has the old one, the new one or none."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.vector.crashing_disk import KilledAt, killed

from hekla.protocols.api import Caller
from hekla.vector import Collection, CollectionSchema, Point, VectorSchema
from hekla.vector.disk import Disk
from hekla.vector.doors.catalogue import Catalogue

SCHEMA = CollectionSchema({"": VectorSchema(2, "l2")})
CALLER = Caller()


def write(folder: Path, stamp: int, count: int) -> None:
    with Collection.create(folder, SCHEMA, has_upkeep=False) as collection:
        collection.upsert([Point(i, {"": [i, stamp]}, {"stamp": stamp}) for i in range(count)])


def stamps(catalogue: Catalogue) -> set[int]:
    records = catalogue.get("c", CALLER).scroll(limit=100)[0]
    assert len(records) == 5
    return {record.payload["stamp"] for record in records if record.payload}


def every_kill(root: Path, do: Callable[[Catalogue], object], snapshot: Path) -> list[tuple[int, str]]:
    """Kill at every call of what is done; return what was there after each, and whether it was acknowledged."""
    found = []
    for call in range(1000):
        folder = root / str(call)
        catalogue = Catalogue(folder)
        catalogue.create("c", SCHEMA, CALLER)
        catalogue.get("c", CALLER).upsert([Point(i, {"": [i, 1]}, {"stamp": 1}) for i in range(5)])
        catalogue.close()

        def run(disk: Disk, acknowledge: Callable[[Any], None], folder: Path = folder) -> None:
            do(Catalogue(folder, disk))
            acknowledge(1)

        acknowledged, has_ended = killed(run, KilledAt(call))
        again = Catalogue(folder)
        assert not again.broken
        names = again.names(CALLER)
        found.append((stamps(again).pop() if names else 0, "done" if acknowledged else "not done"))
        again.close()
        left = [path.name for path in (folder / "collections").iterdir()]
        assert left == names, "nothing half-made or half-removed stays"
        shutil.rmtree(folder)
        if has_ended:
            return found
    raise AssertionError("it never ended")


@pytest.mark.slow
def test_killed_while_one_takes_anothers_place_a_collection_is_always_there(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    write(snapshot, 2, 5)

    def fill(folder: Path) -> None:
        for path in snapshot.iterdir():
            shutil.copy(path, folder / path.name)

    found = every_kill(tmp_path / "kills", lambda catalogue: catalogue.replace("c", fill, CALLER), snapshot)
    assert {stamp for stamp, _ in found} == {1, 2}
    assert all(stamp == 2 for stamp, what in found if what == "done")


@pytest.mark.slow
def test_killed_while_one_is_deleted_it_is_there_whole_or_gone(tmp_path: Path) -> None:
    found = every_kill(tmp_path / "kills", lambda catalogue: catalogue.delete("c", CALLER), tmp_path)
    assert {stamp for stamp, _ in found} == {0, 1}
    assert all(stamp == 0 for stamp, what in found if what == "done")
