"""Points found in several parts, stored and live and gone, against measuring every point there is."""

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hekla.base.errors import InputError
from hekla.vector import (
    ALL,
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    Match,
    Nearest,
    Point,
    PointError,
    PointId,
    Search,
    VectorSchema,
)
from hekla.vector.batch import read_vector
from hekla.vector.ranks import ranks_of, score_of
from hekla.vector.rows import AnyArray

WIDTH, COUNT = 11, 90


def vectors_of(schema: VectorSchema, rng: np.random.Generator, n: int) -> AnyArray:
    if schema.dtype == "binary":
        return rng.integers(0, 2, (n, WIDTH)).astype(np.uint8)
    return np.asarray(rng.integers(-20, 20, (n, WIDTH)) + (schema.dtype != "i8") * 0.25, np.float32)


def filled(folder: Path, schema: VectorSchema, vectors: AnyArray, ids: list[PointId]) -> Collection:
    """Return a collection of two segments and a tail; every seventh point has no vector, every fifth is gone."""
    fields = {"even": FieldSchema("bool")}
    points = Collection.create(folder, CollectionSchema({"": schema}, fields=fields, sync="off"), has_upkeep=False)
    for first in range(0, COUNT, COUNT // 3):
        points.upsert([
            Point(ids[i], {} if i % 7 == 0 else {"": vectors[i]}, {"even": i % 2 == 0, "i": i})
            for i in range(first, first + COUNT // 3)
        ])  # fmt: skip
        if first < 2 * COUNT // 3:
            points._store.seal()
    points.delete([ids[i] for i in range(0, COUNT, 5)])
    return points


def expected(schema: VectorSchema, vectors: AnyArray, query: AnyArray, rows: list[int]) -> dict[int, float]:
    """Return the score of each row."""
    stored = np.concatenate([read_vector(schema, vectors[i], "$") for i in rows])
    ranks = ranks_of(schema, stored, read_vector(schema, query, "$")[0]).astype(np.float64)
    return dict(zip(rows, score_of(schema.metric, ranks, is_multi=False).tolist(), strict=True))


KINDS = [
    *((metric, dtype) for metric in ("l2", "dot", "cosine") for dtype in ("f32", "f16", "i8", "binary")),
    *(("manhattan", dtype) for dtype in ("f32", "f16", "i8", "binary")),
]


@pytest.mark.parametrize("has_uuids", [False, True])
@pytest.mark.parametrize(("metric", "dtype"), KINDS)
def test_the_nearest_of_all_parts_are_found(tmp_path: Path, metric: Any, dtype: Any, has_uuids: bool) -> None:
    schema, rng = VectorSchema(WIDTH, metric, dtype), np.random.default_rng(0)
    vectors, queries = vectors_of(schema, rng, COUNT), vectors_of(schema, rng, 4)
    ids: list[PointId] = [uuid.UUID(int=i) if has_uuids and i % 2 else i for i in range(COUNT)]
    live = [i for i in range(COUNT) if i % 7 and i % 5]
    with filled(tmp_path / "points", schema, vectors, ids) as points:
        for query in queries:
            for is_even in (False, True):
                rows = [i for i in live if not is_even or i % 2 == 0]
                filter_ = Filter((Match("even", (True,)),)) if is_even else None
                scores = expected(schema, vectors, query, rows)
                sign = 1 if metric in ("l2", "manhattan") else -1
                best = sorted(sign * score for score in scores.values())
                given = query.astype(np.int8) if dtype == "i8" else query
                for limit in (1, 8, 200):
                    found = points.search(given, limit, filter=filter_)
                    assert [p.score * sign for p in found] == pytest.approx(best[:limit], rel=1e-3, abs=1e-3)
                    assert all(p.score == pytest.approx(scores[ids.index(p.id)], rel=1e-3, abs=1e-3) for p in found)
                    assert len({p.id for p in found}) == len(found)
                    again = points.search(query.tolist(), limit, filter=filter_, is_exact=True)
                    assert [p.id for p in again] == [p.id for p in found]
                    assert [p.score for p in again] == pytest.approx([p.score for p in found], rel=1e-6, abs=1e-6)
                whole = points.query(Search(Nearest(query), 200, filter=filter_), ALL).points
                assert {ids.index(p.id): p.score for p in whole} == pytest.approx(scores, rel=1e-3, abs=1e-3)
                assert all(p.payload == {"even": ids.index(p.id) % 2 == 0, "i": ids.index(p.id)} for p in whole)
                page = points.query(Search(Nearest(query), 5, 3, filter=filter_)).points
                assert [p.id for p in page] == [p.id for p in whole[3:8]]


def test_a_missing_point_is_noticed(tmp_path: Path) -> None:
    schema, rng = VectorSchema(WIDTH, "l2"), np.random.default_rng(0)
    vectors = vectors_of(schema, rng, COUNT)
    with filled(tmp_path / "points", schema, vectors, list(range(COUNT))) as points:
        best = sorted(expected(schema, vectors, vectors[3], [i for i in range(COUNT) if i % 7 and i % 5]).values())
        points.delete([3])
        assert [p.score for p in points.search(vectors[3], 5)] != pytest.approx(best[:5], rel=1e-3)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    schema = VectorSchema(WIDTH, "cosine")
    vectors = vectors_of(schema, np.random.default_rng(0), COUNT)
    with filled(tmp_path / "points", schema, vectors, list(range(COUNT))) as points:
        for value, message in ((np.nan, "holds NaN or infinity"), (0.0, "is all zeros")):
            for query in (np.full(WIDTH, value, np.float32), np.full(WIDTH, value), [value] * WIDTH):
                with pytest.raises(PointError, match=message) as caught:
                    points.search(query, 3)
                assert caught.value.where == "$.query.vector"
        with pytest.raises(PointError, match="expected 11 numbers, got 1x12"):
            points.search(np.ones(12, np.float32), 3)
        small = vectors[1] * np.float32(1e-25)  # its square is nothing in f32
        assert [p.id for p in points.search(small, 5)] == [p.id for p in points.search(vectors[1], 5)]
        limits: tuple[Any, ...] = (0, -1, 1_000_001, "3", 2.0, None, True)
        for limit in limits:
            with pytest.raises(InputError, match="limit and offset are 1 to 1000000 together"):
                points.search(vectors[1], limit)
            with pytest.raises(InputError, match="limit and offset are 1 to 1000000 together"):
                points.query(Search(Nearest(1), limit))


def test_an_empty_collection_has_no_nearest(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "points", CollectionSchema({"": VectorSchema(3)}), has_upkeep=False) as points:
        assert points.search(np.ones(3, np.float32), 5) == []


def test_a_scan_that_is_late_says_so(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(9000, 3)).astype(np.float32)
    schema = CollectionSchema({"": VectorSchema(3, "l2")}, sync="off")
    with Collection.create(tmp_path / "points", schema, has_upkeep=False) as points:
        points.upsert_arrays(np.arange(9000, dtype=np.uint64), rows)
        late = points.query(Search(Nearest(rows[8000]), 2, deadline_s=0.0))
        assert not late.is_complete
        assert len(late.points) == 2
        assert points.query(Search(Nearest(rows[8000]), 2, deadline_s=1000.0)).is_complete
