"""A collection killed at every single step keeps what it acknowledged and shows no half batch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.vector.crashing_disk import KilledAt, killed

from hekla.vector.batch import rows_from_points
from hekla.vector.disk import Disk
from hekla.vector.point import Point
from hekla.vector.rows import AnyArray, Rows, ids_of
from hekla.vector.schema import CollectionSchema, VectorSchema
from hekla.vector.segment import Segment
from hekla.vector.store import Changes, SegmentPlan, Store, create_store, open_store

SCHEMA = CollectionSchema({"": VectorSchema(2, "l2")})
Contents = dict[int, float]


def nothing_built(plan: SegmentPlan) -> Mapping[str, AnyArray]:
    return {}


def rows_with(contents: Contents) -> Rows:
    points = [Point(key, {"": [value, key]}, {"value": value}) for key, value in contents.items()]
    return rows_from_points(SCHEMA, points)


def contents_of(store: Store) -> Contents:
    """Read everything; check that vectors and payloads agree, so that a half write would be seen."""
    found: Contents = {}
    for part in store.version.parts:
        for row in range(len(part.rows)):
            if not int(part.deleted[row // 64]) >> row % 64 & 1:
                key, vector = part.rows.ids.at(row), part.rows.dense[""].values[row]
                assert key not in found, "a point in two parts"
                assert part.rows.payloads.at(row) == b'{"value":%.1f}' % vector[0]
                assert vector[1] == key
                found[int(key)] = float(vector[0])
    assert len(found) == store.version.live
    return found


def every_step(folder: Path) -> tuple[Callable[[Disk, Callable[[Any], None]], None], list[Contents]]:
    """Return a run through every kind of write and upkeep, and the contents after each acknowledged step."""
    states: list[Contents] = [{}]

    def state(change: Callable[[Contents], object]) -> None:
        now = dict(states[-1])
        change(now)
        states.append(now)

    first = dict.fromkeys(range(6), 1.0)
    second = dict.fromkeys(range(4, 9), 2.0)
    state(lambda now: now.update(first))
    state(lambda now: now.update(second))
    state(lambda now: [now.pop(key) for key in (1, 5)] and None)
    state(lambda now: now.update({1: 3.0, 20: 3.0}))
    state(lambda now: [now.pop(2)] and now.update({30: 4.0}))
    state(lambda now: now.update({31: 5.0}))

    def run(disk: Disk, acknowledge: Callable[[Any], None]) -> None:
        store = create_store(folder, SCHEMA, disk, nothing_built)
        store.upsert(rows_with(first))
        acknowledge(1)
        store.seal()
        store.upsert(rows_with(second))
        acknowledge(2)
        store.delete(ids_of([1, 5]))
        acknowledge(3)
        store.seal()
        store.upsert(rows_with({1: 3.0, 20: 3.0}))
        acknowledge(4)
        store.change(lambda _: Changes(rows_with({30: 4.0}), ids_of([2])))
        acknowledge(5)
        numbers = [part.source.number for part in store.version.parts if isinstance(part.source, Segment)]
        store.merge(numbers)
        store.link_to(folder.with_name("copy"))
        store.upsert(rows_with({31: 5.0}))
        acknowledge(6)
        store.close()

    return run, states


@pytest.mark.slow
@pytest.mark.parametrize("cuts_power", [False, True])
def test_killed_at_every_step_it_keeps_what_it_acknowledged_and_shows_no_half_batch(
    tmp_path: Path, cuts_power: bool
) -> None:
    calls = 0
    while True:
        folder = tmp_path / str(calls) / "points"
        folder.parent.mkdir()
        run, states = every_step(folder)
        acknowledged, has_ended = killed(run, KilledAt(calls, cuts_power=cuts_power))
        last = acknowledged[-1] if acknowledged else 0
        if not (folder / "manifest.json").exists():
            assert last == 0
        else:
            store = open_store(folder, Disk(), nothing_built)
            assert contents_of(store) in states[last : last + 2], f"killed at call {calls} after {last}"
            assert not store.damaged
            store.upsert(rows_with({99: 9.0}))
            store.close()
            again = open_store(folder, Disk(), nothing_built)
            assert contents_of(again)[99] == 9.0
            again.close()
        copy = folder.with_name("copy")
        if (copy / "manifest.json").exists():
            copied = open_store(copy, Disk(), nothing_built)
            assert contents_of(copied) == states[5]
            copied.close()
        if has_ended:
            assert last == 6
            break
        calls += 1
    assert calls > 60, "the steps are no longer all counted"


@pytest.mark.slow
def test_the_check_sees_a_disk_that_does_not_sync(tmp_path: Path) -> None:
    """The oracle fails where it should: with a sync that does nothing, a power cut loses what was acknowledged."""

    class Forgetful(KilledAt):
        def sync(self, descriptor: int) -> None:
            self._call()

    lost = False
    for calls in range(20, 40):
        folder = tmp_path / str(calls) / "points"
        folder.parent.mkdir()
        run, states = every_step(folder)
        acknowledged, _ = killed(run, Forgetful(calls, cuts_power=True))
        last = acknowledged[-1] if acknowledged else 0
        try:
            store = open_store(folder, Disk(), nothing_built)
            lost |= contents_of(store) not in states[last : last + 2]
            store.close()
        except Exception:  # noqa: BLE001  # whatever it is: the check saw it
            lost = True
    assert lost


def test_a_thousand_points_come_back(tmp_path: Path) -> None:
    contents = {key: float(key) for key in range(1000)}
    store = create_store(tmp_path / "points", SCHEMA, Disk(), nothing_built)
    store.upsert(rows_with(contents))
    assert contents_of(store) == contents
    store.close()
    store = open_store(tmp_path / "points", Disk(), nothing_built)
    assert contents_of(store) == contents
    assert np.array_equal(store.version.parts[0].find(ids_of([7, 4000])), [7, -1])
    store.close()
