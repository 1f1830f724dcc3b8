"""Disks that refuse: full at any call, full for real, read-only. Refused cleanly, readable after, resumed with room."""

import contextlib
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.vector.failing_disk import FullAt

from hekla.base.errors import ConflictError
from hekla.vector import Collection, CollectionSchema, DiskError, FieldSchema, Point, VectorSchema
from hekla.vector.records import ALL

SCHEMA = CollectionSchema({"": VectorSchema(2, "l2")}, fields={"n": FieldSchema("integer")})
Contents = dict[int, int]


def points(first: int, last: int, n: int) -> list[Point]:
    return [Point(key, {"": [key, n]}, {"n": n}) for key in range(first, last)]


def contents(collection: Collection) -> Contents:
    found = {}
    for record in collection.scroll(limit=1000, wanted=ALL)[0]:
        assert record.vectors is not None
        assert record.payload is not None
        assert np.array_equal(np.asarray(record.vectors[""]), [record.id, record.payload["n"]])
        found[int(str(record.id))] = record.payload["n"]
    assert len(found) == len(collection)
    return found


# What is done, and what it does to a dict.
STEPS: list[tuple[Callable[[Collection], object], Callable[[Contents], object]]] = [
    (lambda c: c.upsert(points(0, 6, 1)), lambda d: d.update(dict.fromkeys(range(6), 1))),
    (lambda c: c.optimise(is_whole=False), lambda d: None),
    (lambda c: c.upsert(points(4, 9, 2)), lambda d: d.update(dict.fromkeys(range(4, 9), 2))),
    (lambda c: c.delete([1, 5]), lambda d: (d.pop(1, None), d.pop(5, None))),
    (lambda c: c.optimise(is_whole=False), lambda d: None),
    (lambda c: c.create_field("m", FieldSchema("float")), lambda d: None),
    (lambda c: c.snapshot(c.folder.with_name("copy")), lambda d: None),
    (lambda c: c.upsert(points(0, 2, 3)), lambda d: d.update(dict.fromkeys(range(2), 3))),
    (lambda c: c.optimise(), lambda d: None),
    (lambda c: c.delete(list(range(9))), lambda d: d.clear()),
    (lambda c: c.upsert(points(20, 22, 4)), lambda d: d.update(dict.fromkeys((20, 21), 4))),
    (lambda c: c.close(), lambda d: None),
]


def run_full_at(folder: Path, call: int) -> bool:
    """Do all steps on a disk that is full from a call on; return whether it ever was."""
    disk = FullAt(call)
    right: Contents = {}
    maybe: Contents = right  # what a batch whose sync failed may have come to
    try:
        collection = Collection.create(folder, SCHEMA, has_upkeep=False, disk=disk)
    except DiskError as error:
        assert "make room" in str(error)  # noqa: PT017  # it may also not be raised
        disk.mend()
        if not (folder / "manifest.json").exists():
            Collection.create(folder, SCHEMA, has_upkeep=False, disk=disk).close()
        with Collection.open(folder, has_upkeep=False) as collection:
            assert contents(collection) == {}
        return True
    for do, model in STEPS:
        after = dict(right)
        model(after)
        try:
            do(collection)
            right = maybe = after
        except DiskError as error:
            assert "room" in str(error) or "look at the disk" in str(error)  # noqa: PT017  # likewise
            maybe = after
            if do is not STEPS[-1][0]:
                assert contents(collection) == right, "readable after, and nothing of it kept"
            break
    if not disk.is_full:
        return False
    disk.mend()
    if do is not STEPS[-1][0]:
        resume(collection, right, maybe)
    reopened(folder, right, maybe)
    return True


def resume(collection: Collection, right: Contents, maybe: Contents) -> None:
    """With room again writes go on, unless a sync failed: then the collection says so until it is opened again."""
    try:
        collection.upsert(points(50, 53, 9))
    except DiskError as error:
        assert "reopen" in str(error) or "make room" in str(error)  # noqa: PT017  # either is right
    else:
        collection.optimise()
        right.update(dict.fromkeys(range(50, 53), 9))
        maybe.update(dict.fromkeys(range(50, 53), 9))
        assert contents(collection) in (right, maybe)
    with contextlib.suppress(DiskError):
        collection.close()


def reopened(folder: Path, right: Contents, maybe: Contents) -> None:
    with Collection.open(folder, has_upkeep=False) as again:
        assert contents(again) in (right, maybe)
        assert again.status().damaged == ()
        assert again.verify() == []
        again.upsert(points(90, 91, 1))
        again.optimise()
        assert 90 in contents(again)
    assert not list(folder.glob(".*.part"))


def test_full_at_some_calls_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    for call in range(0, 60, 7):
        run_full_at(tmp_path / str(call) / "points", call)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_full_at_every_call_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    counting = FullAt(1 << 30)
    collection = Collection.create(tmp_path / "counted" / "points", SCHEMA, has_upkeep=False, disk=counting)
    for do, _ in STEPS:
        do(collection)
    calls = (1 << 30) - counting.left
    assert calls > 60, "the calls are no longer all counted"
    for call in range(calls):
        assert run_full_at(tmp_path / str(call) / "points", call)
    assert not run_full_at(tmp_path / "never" / "points", calls)


def in_child(run: Callable[[], Any]) -> str:
    """Run something in a process of its own; return its exception's text, "" for none."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            run()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001  # told to the parent
            os.write(writer, f"{type(error).__name__}: {error}".encode())
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        text = told.read().decode()
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status), "the child was killed"
    return text


def test_a_disk_that_is_really_full_refuses_a_batch_and_goes_on_with_room(tmp_path: Path) -> None:
    folder = tmp_path / "points"
    Collection.create(folder, SCHEMA, has_upkeep=False).close()

    def run() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with Collection.open(folder, has_upkeep=False) as collection:
            collection.upsert(points(0, 10, 1))
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            with pytest.raises(DiskError, match="cannot be written"):
                collection.upsert(points(10, 1000, 2))
            with pytest.raises(DiskError):
                collection.optimise()
            assert set(contents(collection)) == set(range(10))
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            collection.upsert(points(10, 20, 3))
            collection.optimise()

    assert in_child(run) == ""
    with Collection.open(folder, has_upkeep=False) as collection:
        assert set(contents(collection)) == set(range(20))
        assert collection.status().damaged == ()


def test_a_folder_that_may_not_be_written_is_read(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become somebody who may not write here")
    folder = tmp_path / "points"
    with Collection.create(folder, SCHEMA, has_upkeep=False) as collection:
        collection.upsert(points(0, 5, 1))
    for each in (*tmp_path.resolve().parents, tmp_path, folder):
        if each.owner() == "root" and str(each).startswith(str(tmp_path.parents[1])):
            each.chmod(0o755)

    def run() -> None:
        os.setuid(65534)
        with pytest.raises(DiskError, match="give this user the right to write there"):
            Collection.open(folder)
        with Collection.open(folder, is_read_only=True) as collection:
            assert len(contents(collection)) == 5
            assert len(collection.search([1, 1])) == 5
            assert collection.verify() == []
            with pytest.raises(ConflictError, match="is open for reading only"):
                collection.upsert(points(5, 6, 1))

    assert in_child(run) == ""
