"""Filters as deep as they may be are answered at once; deeper ones are refused, through every way in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hekla.vector import Collection, CollectionSchema, FieldSchema, Filter, HasId, Match, Point, VectorSchema
from hekla.vector.errors import PointError
from hekla.vector.filters import MAX_DEPTH, Condition, Nested

SCHEMA = CollectionSchema({"": VectorSchema(1, "l2")}, fields={"n": FieldSchema("integer")}, sync="off")
LEVELS = MAX_DEPTH - 1  # and the one in the middle


def deep(condition: Condition, levels: int, clause: str) -> Filter:
    filter_ = Filter(must=(condition,))
    for _ in range(levels):
        filter_ = Filter(**{clause: (filter_,)})  # type: ignore[arg-type]  # names of clauses
    return filter_


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    collection = Collection.create(tmp_path / "points", SCHEMA, has_upkeep=False)
    collection.upsert([Point(key, {"": [key]}, {"n": key, "m": key}) for key in range(20)])
    collection.optimise()
    collection.upsert([Point(key, {"": [key]}, {"n": key, "m": key}) for key in range(20, 25)])
    return collection


@pytest.mark.parametrize("clause", ["must", "should", "must_not"])
def test_the_deepest_filter_takes_time_by_its_levels_not_by_their_power(collection: Collection, clause: str) -> None:
    """Each level once looked twice at the next: 63 levels would never have come back."""
    # of an index, an id, a payload that is read
    conditions: list[Condition] = [Match("n", (3, 22)), HasId((3, 22)), Match("m", (3, 22))]
    for condition in conditions:
        expected = 23 if clause == "must_not" and LEVELS % 2 else 2
        assert collection.count(deep(condition, LEVELS, clause)) == expected
    collection.close()


def test_a_filter_that_is_too_deep_is_refused_wherever_one_is_taken(collection: Collection) -> None:
    too_deep = deep(Match("n", (3,)), 10_000, "must")
    nested = Filter(must=(Nested("parts", deep(Match("n", (3,)), MAX_DEPTH, "should")),))
    uses: list[Callable[[Filter], object]] = [
        collection.count,
        collection.delete,
        lambda filter_: collection.search([1], filter=filter_),
        lambda filter_: collection.scroll(filter_=filter_),
        lambda filter_: collection.facet("n", filter_=filter_),
        lambda filter_: collection.set_payload({"a": 1}, filter_),
    ]
    for use in uses:
        for filter_ in (too_deep, nested):
            with pytest.raises(PointError, match="is over 64 deep"):
                use(filter_)
    assert len(collection) == 25
    collection.close()
