"""A collection with a graph finds what comparing with every vector finds, in whole and compact forms."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hekla.base.errors import ConfigError
from hekla.vector import (
    ID_ONLY,
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    Match,
    Nearest,
    Search,
    VectorSchema,
)

ROWS, WIDTH = 12_000, 24


@pytest.mark.slow
@pytest.mark.parametrize("index", [{}, {"compact": 8}, {"bits": 1, "compact": 4}])
def test_a_graph_finds_the_nearest_exactly_ranked(tmp_path: Path, index: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, WIDTH))
    vectors = (centres[rng.integers(0, 60, ROWS)] + 0.4 * rng.normal(size=(ROWS, WIDTH))).astype(np.float32)
    schema = CollectionSchema(
        {"": VectorSchema(WIDTH, "l2", index=index)}, fields={"third": FieldSchema("bool")}, sync="off"
    )
    with Collection.create(tmp_path / "points", schema, has_upkeep=False) as points:
        payloads = [{"third": key % 3 == 0} for key in range(ROWS)]
        points.upsert_arrays(np.arange(ROWS, dtype=np.uint64), vectors, payloads)
        points.optimise()
        assert points.status().segments[0].has_graph
        for query in vectors[:20] + 0.05:  # both calls, and both forms of a query, give the same
            assert points.search(query, 7, ef=64) == points.query(Search(Nearest(query), 7, ef=64), ID_ONLY).points
            assert points.search(query.tolist(), 7, ef=64) == points.search(query, 7, ef=64)
        points.delete([5, 6])
        assert all(point.id not in (5, 6) for point in points.search(vectors[5], 5))
        for is_filtered in (False, True):
            rows = np.arange(ROWS)
            allowed = (rows != 5) & (rows != 6) & ((rows % 3 == 0) | (not is_filtered))
            filter_ = Filter((Match("third", (True,)),)) if is_filtered else None
            right = 0
            for query in vectors[:50] + 0.05:
                apart = np.sqrt(((vectors - query) ** 2).sum(axis=1))
                nearest = rows[allowed][np.argsort(apart[allowed], kind="stable")[:10]]
                found = points.query(Search(Nearest(query), filter=filter_, ef=128)).points
                assert np.allclose([p.score for p in found], apart[[int(p.id) for p in found]], rtol=1e-4)
                right += len({int(p.id) for p in found} & set(nearest.tolist()))
            assert right >= 0.98 * 500


def test_options_of_a_graph_are_checked_before_anything_is_made(tmp_path: Path) -> None:
    for index, key in (({"bit": 1}, ""), ({"bits": 3}, ".bits"), ({"compact": 5}, ".compact")):
        with pytest.raises(ConfigError) as caught:
            Collection.create(tmp_path / "points", CollectionSchema({"": VectorSchema(4, index=index)}))
        assert caught.value.where == f"$.vectors..index{key}"
    assert not (tmp_path / "points").exists()
