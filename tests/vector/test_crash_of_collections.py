"""A collection killed at every call of every operation, and killed again while it opens, keeps what it acknowledged."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from tests.vector.crashing_disk import KilledAt, killed
from tests.vector.test_refusing_disk import in_child

from hekla.base.errors import ConflictError, NotFoundError
from hekla.vector import (
    ALL,
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    IsEmpty,
    Match,
    Point,
    SparseSchema,
    VectorSchema,
    delete_collection,
)
from hekla.vector.disk import Disk
from hekla.vector.schema import SyncPolicy

_DISKS: list[tuple[SyncPolicy, bool]] = [("always", False), ("always", True), ("off", False)]  # sync, power cuts
State = tuple[Mapping[int, int], Mapping[str, str]]  # what each point's "n" is, what kind each index is of
Step = tuple[Callable[[Collection], object], Callable[[dict[int, int], dict[str, str]], object]]


def schema(sync: SyncPolicy) -> CollectionSchema:
    return CollectionSchema(
        {"": VectorSchema(2, "l2"), "other": VectorSchema(3, "dot", "i8")},
        {"s": SparseSchema()},
        fields={"colour": FieldSchema("keyword")},
        sync=sync,
    )


def colour_of(n: int) -> str:
    return "red" if n % 2 else "green"


def points(first: int, last: int, n: int) -> list[Point]:
    return [
        Point(key, {"": [key, n], "other": [1, key, n]}, {"n": n, "m": [n, str(n)], "colour": colour_of(n)})
        for key in range(first, last)
    ]


def set_n(key: int, n: int) -> Callable[[Collection], object]:
    """Both ways to change a point in part; each alone leaves vector and payload apart, so one batch does both."""
    return lambda collection: collection.upsert(points(key, key + 1, n))


STEPS: list[Step] = [
    (lambda c: c.upsert(points(0, 6, 1)), lambda d, f: d.update(dict.fromkeys(range(6), 1))),
    (lambda c: c.optimise(is_whole=False), lambda d, f: None),
    (lambda c: c.upsert(points(4, 9, 2)), lambda d, f: d.update(dict.fromkeys(range(4, 9), 2))),
    (lambda c: c.delete([1, 5]), lambda d, f: (d.pop(1), d.pop(5))),
    (lambda c: c.create_field("m", FieldSchema("integer")), lambda d, f: f.update(m="integer")),
    (lambda c: c.optimise(is_whole=False), lambda d, f: None),
    (lambda c: c.snapshot(c.folder.with_name("copy")), lambda d, f: None),
    (lambda c: c.delete(Filter((Match("colour", ("red",)),))), lambda d, f: [d.pop(k) for k in (0, 2, 3)]),
    (lambda c: c.create_field("m", FieldSchema("keyword")), lambda d, f: f.update(m="keyword")),
    (set_n(7, 5), lambda d, f: d.update({7: 5})),
    (lambda c: c.delete_field("m"), lambda d, f: f.pop("m")),
    (lambda c: c.optimise(), lambda d, f: None),
    (lambda c: c.upsert(points(20, 22, 4)), lambda d, f: d.update({20: 4, 21: 4})),
    (lambda c: c.delete(list(range(30))), lambda d, f: d.clear()),
    (lambda c: c.optimise(), lambda d, f: None),
    (lambda c: c.upsert(points(40, 42, 3)), lambda d, f: d.update({40: 3, 41: 3})),
    (lambda c: c.close(), lambda d, f: None),
]


def states() -> list[State]:
    """What is there after each step."""
    there: dict[int, int] = {}
    fields = {"colour": "keyword"}
    found: list[State] = [({}, dict(fields))]
    for _, model in STEPS:
        model(there, fields)
        found.append((dict(there), dict(fields)))
    return found


def state_of(collection: Collection) -> State:
    """Read everything by every way there is; AssertionError where the ways differ, or a point is half another."""
    found: dict[int, int] = {}
    for record in collection.scroll(limit=1000, wanted=ALL)[0]:
        assert record.vectors is not None
        assert record.payload is not None
        key, n = int(str(record.id)), record.payload["n"]
        assert np.array_equal(np.asarray(record.vectors[""]), [key, n])
        assert np.array_equal(np.asarray(record.vectors["other"]), [1, key, n])
        assert record.payload == {"n": n, "m": [n, str(n)], "colour": colour_of(n)}
        assert key not in found
        found[key] = n
    assert len(collection) == len(found)
    if found:
        assert {point.id for point in collection.search([0, 0], 1000)} == set(found)
    for n in range(6):
        for value in (n, str(n)):
            by_index = collection.count(Filter((Match("m", (value,)),)))
            assert by_index == sum(each == n for each in found.values()), "the index of m"
        assert collection.count(Filter((Match("n", (n,)),))) == sum(each == n for each in found.values())
    assert collection.count(Filter((IsEmpty("m"),))) == 0
    assert dict(collection.facet("colour")) == {
        colour: count for colour in ("red", "green") if (count := sum(colour_of(n) == colour for n in found.values()))
    }
    return found, {path: field.kind for path, field in collection.schema.fields.items()}


def every_step(folder: Path, sync: SyncPolicy) -> Callable[[Disk, Callable[[Any], None]], None]:
    def run(disk: Disk, acknowledge: Callable[[Any], None]) -> None:
        collection = Collection.create(folder, schema(sync), has_upkeep=False, disk=disk)
        acknowledge(0)
        for number, (do, _) in enumerate(STEPS):
            do(collection)
            acknowledge(number + 1)

    return run


def check(folder: Path, acknowledged: int, possible: list[State]) -> None:
    """Open what a crash left: one of the two states that it may be in, whole, and it takes writes."""
    try:
        collection = Collection.open(folder, has_upkeep=False)
    except NotFoundError:
        assert acknowledged < 0
        return
    with collection:
        state = state_of(collection)
        assert state in possible[max(acknowledged, 0) : acknowledged + 2], f"after step {acknowledged}: {state}"
        assert collection.status().damaged == ()
        assert collection.verify() == []
        collection.upsert(points(90, 91, 1))
    with Collection.open(folder, is_read_only=True) as again:
        assert 90 in state_of(again)[0]
    assert not list(folder.glob(".*.part"))


def killed_while_it_opens(folder: Path, first: int, step: int) -> None:
    """Kill again at calls of the opening, and of the closing, that follow a crash."""
    beside = folder.with_name("again")
    call = first

    def reopen(disk: Disk, acknowledge: Callable[[Any], None]) -> None:
        with Collection.open(beside, has_upkeep=False, disk=disk):
            acknowledge(0)

    while True:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(folder, beside, ignore=shutil.ignore_patterns("*.before-*"))  # what the disk before kept
        _, has_ended = killed(reopen, KilledAt(call, cuts_power=bool(call % 2)))
        with Collection.open(folder, is_read_only=True) as one, Collection.open(beside, is_read_only=True) as other:
            assert state_of(one) == state_of(other)
            assert other.status().damaged == ()
        if has_ended:
            return
        call += step


def run_to_every_call(tmp_path: Path, calls: range, sync: SyncPolicy, *, cuts_power: bool, step: int) -> bool:
    """Kill at these calls, one run each; return whether a run came to its end."""
    possible = states()
    for call in calls:
        folder = tmp_path / str(call) / "points"
        folder.parent.mkdir(parents=True)
        acknowledged, has_ended = killed(every_step(folder, sync), KilledAt(call, cuts_power=cuts_power))
        last = acknowledged[-1] if acknowledged else -1
        if (folder / "manifest.json").exists():
            killed_while_it_opens(folder, call % step, step)
        check(folder, last, possible)
        copy = folder.with_name("copy")
        if (copy / "manifest.json").exists():
            with Collection.open(copy, has_upkeep=False) as snapshot:
                assert state_of(snapshot) == possible[7]
                assert snapshot.verify() == []
        shutil.rmtree(folder.parent)
        if has_ended:
            return True
    return False


def test_killed_at_some_calls_it_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    run_to_every_call(tmp_path, range(0, 130, 13), "always", cuts_power=True, step=50)


def test_killed_while_an_index_becomes_one_of_another_kind_filters_are_right(tmp_path: Path) -> None:
    """The manifest has the new kind before the segments have: what they hold of the old one must not be read."""
    whole = tmp_path / "whole"
    with Collection.create(whole, schema("off"), has_upkeep=False) as collection:
        collection.upsert(points(0, 9, 1))
        collection.create_field("m", FieldSchema("integer"))
        collection.optimise()
        expected = state_of(collection)[0]
    kinds = set()
    for call in range(100):
        folder = tmp_path / str(call)
        shutil.copytree(whole, folder)

        def run(disk: Disk, acknowledge: Callable[[Any], None], folder: Path = folder) -> None:
            with Collection.open(folder, has_upkeep=False, disk=disk) as collection:
                collection.create_field("m", FieldSchema("keyword"))
                acknowledge(0)

        acknowledged, has_ended = killed(run, KilledAt(call))
        with Collection.open(folder, is_read_only=True) as collection:
            found, fields = state_of(collection)
            assert found == expected
            assert fields["m"] == "keyword" or not acknowledged
            kinds.add(fields["m"])
        if has_ended:
            break
    assert kinds == {"integer", "keyword"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("sync", "cuts_power"), _DISKS)
def test_killed_at_every_call_and_again_while_opening_it_keeps_what_it_acknowledged(
    tmp_path: Path, sync: SyncPolicy, cuts_power: bool
) -> None:
    """Every call with HEKLA_EVERY_CALL, a quarter of an hour each; else one in five, other ones for each disk."""
    first, step = (0, 1) if os.environ.get("HEKLA_EVERY_CALL") else (_DISKS.index((sync, cuts_power)), 5)
    assert run_to_every_call(tmp_path, range(first, 1000, step), sync, cuts_power=cuts_power, step=12)


@pytest.mark.slow
def test_killed_while_it_is_deleted_a_collection_is_there_or_not(tmp_path: Path) -> None:
    for call in range(100):
        folder = tmp_path / str(call)
        assert call < 100
        with Collection.create(folder, schema("off"), has_upkeep=False) as collection:
            collection.upsert(points(0, 5, 1))
            collection.optimise()
            collection.upsert(points(5, 9, 1))

        def run(disk: Disk, acknowledge: Callable[[Any], None], folder: Path = folder) -> None:
            delete_collection(folder, disk=disk)
            acknowledge(0)

        _, has_ended = killed(run, KilledAt(call))
        if (folder / "manifest.json").exists():
            with Collection.open(folder, has_upkeep=False) as collection:
                assert set(state_of(collection)[0]) == set(range(9))
                assert collection.status().damaged == ()
            delete_collection(folder)
        else:
            with pytest.raises(NotFoundError):
                Collection.open(folder)
            if any(folder.glob("*.hkl")):
                with pytest.raises(ConflictError, match=r"without its manifest; restore manifest\.json, or remove it"):
                    Collection.create(folder, schema("off"))
            if not has_ended:
                with contextlib.suppress(NotFoundError):
                    delete_collection(folder)
            with Collection.create(folder, schema("off")) as collection:
                assert len(collection) == 0, "an old log must not come back to life"
        if has_ended:
            assert call > 4
            return
    raise AssertionError("deleting never ended")


def test_every_change_of_the_folder_goes_through_the_disk_where_a_crash_can_be_tried(tmp_path: Path) -> None:
    """What changes files elsewhere has no fault point: the enumeration would not be complete."""
    folder = tmp_path / "points"
    changing = {"os.rename", "os.remove", "os.link", "os.symlink", "os.rmdir", "os.truncate", "os.mkdir"}
    elsewhere: set[str] = set()

    def is_in_disk() -> bool:
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_filename.endswith("hekla/vector/disk.py"):
                return True
            frame = frame.f_back
        return False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        is_writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if not (is_writing or event in changing) or not str(arguments[0]).startswith(str(tmp_path)):
            return
        if not is_in_disk():
            elsewhere.add(f"{event} {Path(str(arguments[0])).name}")

    def run() -> None:
        sys.addaudithook(hook)
        collection = Collection.create(folder, schema("always"), has_upkeep=False)
        for do, _ in STEPS:
            do(collection)
        Collection.open(folder).close()
        delete_collection(folder)
        raise SystemExit(" ".join(sorted(elsewhere)))

    assert in_child(run) == "SystemExit: open lock"
