"""Setting some vectors of some points leaves every other vector as it was."""

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hekla.base.errors import NotFoundError
from hekla.vector import ALL, Collection, CollectionSchema, Point, SparseSchema, SparseVector, VectorSchema
from hekla.vector.errors import PointError

SCHEMA = CollectionSchema(
    {"a": VectorSchema(2, "l2"), "b": VectorSchema(2, "dot", is_multi=True), "c": VectorSchema(9, "l2", "binary")},
    {"s": SparseSchema()},
    sync="off",
)


def sparse(index: int) -> SparseVector:
    return SparseVector(np.array([index], np.uint32), np.array([2.0], np.float32))


def vectors_of(collection: Collection, key: int) -> dict[str, Any]:
    (record,) = collection.retrieve([key], ALL)
    assert record.vectors is not None
    return {
        name: [int(each.indices[0])] if isinstance(each, SparseVector) else np.asarray(each).tolist()
        for name, each in record.vectors.items()
    }


@pytest.mark.parametrize("is_sealed", [False, True])
def test_what_is_not_named_stays_as_it_was(tmp_path: Path, is_sealed: bool) -> None:
    ones = [1.0] * 9
    with Collection.create(tmp_path / "points", SCHEMA, has_upkeep=False) as collection:
        collection.upsert(
            [Point(key, {"a": [key, 0], "b": [[key, 1], [key, 2]], "c": ones, "s": sparse(key)}) for key in (1, 2, 3)]
        )
        collection.upsert([Point(4, {"a": [4, 4]})])
        if is_sealed:
            collection.optimise()
        changed = collection.update_vectors(
            [
                Point(1, {"a": [9, 9]}),
                Point(2, {"b": [[8, 8]], "s": sparse(80)}),
                Point(4, {"c": [0.0] * 9}),
                Point(1, {"b": [[7, 7]]}),
                Point(1, {"a": [6, 6]}),
            ]
        )
        assert changed == 3
        assert vectors_of(collection, 1) == {"a": [6, 6], "b": [[7, 7]], "c": ones, "s": [1]}
        assert vectors_of(collection, 2) == {"a": [2, 0], "b": [[8, 8]], "c": ones, "s": [80]}
        assert vectors_of(collection, 3) == {"a": [3, 0], "b": [[3, 1], [3, 2]], "c": ones, "s": [3]}
        assert vectors_of(collection, 4) == {"a": [4, 4], "c": [0.0] * 9}


def test_what_is_wrong_changes_nothing_and_is_named_by_its_place(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "points", SCHEMA, has_upkeep=False) as collection:
        collection.upsert([Point(1, {"a": [1, 1]})])
        with pytest.raises(PointError, match=r"points\[1\].vector.a: expected 2 numbers"):
            collection.update_vectors([Point(1, {"a": [2, 2]}), Point(1, {"a": [2, 2, 2]})])
        with pytest.raises(NotFoundError, match="some of the points are not there"):
            collection.update_vectors([Point(1, {"a": [2, 2]}), Point(5, {"a": [2, 2]})])
        assert vectors_of(collection, 1) == {"a": [1, 1]}


def test_an_id_named_twice_in_one_call_is_one_point(tmp_path: Path) -> None:
    """Also where it is written once as text and once as a UUID."""
    key = uuid.UUID(int=77)
    twice: list[Any] = [str(key), key, 5, np.uint64(5)]
    with Collection.create(tmp_path / "points", SCHEMA, has_upkeep=False) as collection:
        for is_sealed in (False, True):
            collection.upsert([Point(each, {"a": [1, 1]}) for each in (key, 5, 6, 7)])
            if is_sealed:
                collection.optimise()
            assert collection.set_payload({"n": 1}, twice) == 2
            assert collection.delete(twice) == 2
            assert len(collection) == 2 == len(collection.scroll(limit=10)[0])
    with Collection.open(tmp_path / "points", has_upkeep=False) as collection:
        assert len(collection) == 2 == len(collection.scroll(limit=10)[0])
