"""Pages are the points in the order of their ids: over segments and memory, numbers and UUIDs, filtered or not."""

import random
import uuid
from collections.abc import Iterator

import numpy as np
import pytest

from hekla.vector import (
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    Point,
    PointError,
    Range,
    VectorSchema,
)
from hekla.vector.point import PointId

SCHEMA = CollectionSchema({"": VectorSchema(2, "l2")}, fields={"n": FieldSchema("integer")})
EVERY = 1500


def as_key(value: PointId) -> tuple[bool, int]:
    return isinstance(value, uuid.UUID), value.int if isinstance(value, uuid.UUID) else value


@pytest.fixture(scope="module")
def points() -> dict[PointId, int]:
    """Ids and their n. Some UUIDs share their upper half."""
    rng = random.Random(3)
    numbers: list[PointId] = [rng.choice((rng.randrange(5000), rng.randrange(2**64))) for _ in range(EVERY)]
    uuids: list[PointId] = [uuid.UUID(int=(rng.randrange(40) << 64) + rng.randrange(2**64)) for _ in range(EVERY // 3)]
    ids = [*dict.fromkeys(numbers + uuids), 0, 2**64 - 1]
    rng.shuffle(ids)
    return {id_: rng.randrange(1000) for id_ in ids}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, points: dict[PointId, int]) -> Iterator[Collection]:
    with Collection.create(tmp_path_factory.mktemp("scroll") / "c", SCHEMA, has_upkeep=False) as collection:
        made = [Point(id_, {"": np.zeros(2)}, {"n": n}) for id_, n in points.items()]
        extra = [Point(10**6 + i, {"": np.zeros(2)}, {"n": i}) for i in range(50)]
        collection.upsert([*made[: len(made) // 2], *extra])
        collection.optimise()
        collection.upsert(made[len(made) // 3 :])  # many are in the segment too
        collection.delete([10**6 + i for i in range(50)])
        yield collection


def pages(collection: Collection, filter_: Filter | None, after: PointId | None, limit: int) -> list[PointId]:
    found: list[PointId] = []
    while True:
        page, following = collection.scroll(filter_=filter_, after=after, limit=limit)
        found += [record.id for record in page]
        if following is None:
            return found
        assert len(page) == limit
        after = following


@pytest.mark.parametrize("below", [None, 0, 2, 100, 900])
def test_pages_are_the_points_sorted(collection: Collection, points: dict[PointId, int], below: int | None) -> None:
    in_order = sorted((id_ for id_, n in points.items() if below is None or n < below), key=as_key)
    filter_ = None if below is None else Filter((Range("n", lt=below),))
    for limit in (7, 100, 10_000):
        assert pages(collection, filter_, None, limit) == in_order
    assert collection.count(filter_) == len(in_order)
    for after in [
        *random.Random(5).sample(list(points), 20),
        0,
        1,
        2**64 - 1,
        uuid.UUID(int=0),
        uuid.UUID(int=5 << 64),
    ]:
        page, _ = collection.scroll(filter_=filter_, after=after, limit=9)
        later = [id_ for id_ in in_order if as_key(id_) >= as_key(after)]
        assert [record.id for record in page] == later[:9], after


def test_an_id_that_is_none_is_refused(collection: Collection) -> None:
    for wrong in (-1, 2**64):
        with pytest.raises(PointError, match=r"\$\.after"):
            collection.scroll(after=wrong)
