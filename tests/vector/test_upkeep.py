"""What upkeep does first, and what it does beside others."""

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hekla.vector import CollectionSchema, VectorSchema
from hekla.vector.batch import rows_from_arrays
from hekla.vector.disk import Disk
from hekla.vector.rows import AnyArray, ids_of
from hekla.vector.segment import Segment
from hekla.vector.segment_sections import segment_sections
from hekla.vector.store import SegmentPlan, Store, create_store
from hekla.vector.upkeep import due_merge

SCHEMA = CollectionSchema({"": VectorSchema(2, "l2")}, seal_points=1_000_000)


def seal(store: Store, first: int, count: int) -> None:
    vectors = np.ones((count, 2), np.float32)
    store.upsert(rows_from_arrays(SCHEMA, np.arange(first, first + count, dtype=np.uint64), {"": vectors}))
    store.seal()


def test_a_new_segment_gets_its_graph_before_a_quarter_deleted_is_written_anew_and_after_a_half(tmp_path: Path) -> None:
    store = create_store(tmp_path / "points", SCHEMA, Disk(), segment_sections)
    seal(store, 0, 100)
    assert due_merge(store) == [], "few rows need no graph"
    store.delete(ids_of(range(30)))
    assert due_merge(store) == [1]
    seal(store, 1000, 10_000)
    assert due_merge(store) == [2], "all of its rows are read by every search"
    store.delete(ids_of(range(30, 60)))
    assert due_merge(store) == [1], "less than half of it is left"
    store.close()


def test_merging_all_leaves_one_segment_whatever_is_being_merged(tmp_path: Path) -> None:
    is_building, may_go_on = threading.Event(), threading.Event()

    def build(plan: SegmentPlan) -> Mapping[str, AnyArray]:
        if plan.is_optimised and not is_building.is_set():
            is_building.set()
            assert may_go_on.wait(30)
        return segment_sections(plan)

    store = create_store(tmp_path / "points", SCHEMA, Disk(), build)
    seal(store, 0, 100)
    seal(store, 1000, 100)
    upkeep = threading.Thread(target=store.merge, args=([1],))
    upkeep.start()
    assert is_building.wait(30)
    somebody = threading.Thread(target=store.merge_all)
    somebody.start()
    somebody.join(0.2)  # time to find out what there is, if it did not wait
    assert somebody.is_alive()
    may_go_on.set()
    somebody.join()
    upkeep.join()
    assert [len(part.rows) for part in store.version.parts if isinstance(part.source, Segment)] == [200]
    store.close()
