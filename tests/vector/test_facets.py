"""Facets count each point once for each value it has, in segments and in memory."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hekla.vector import Collection, CollectionSchema, FieldSchema, Filter, Point, Range, VectorSchema

FIELDS = {"n": FieldSchema("integer"), "word": FieldSchema("keyword"), "is_new": FieldSchema("bool")}
VALUES: dict[str, list[Any]] = {"n": list(range(-3, 9)), "word": ["a", "ab", "é", ""], "is_new": [True, False]}


@pytest.mark.parametrize("is_sealed", [False, True])
def test_facets_count_points_by_value(tmp_path: Path, is_sealed: bool) -> None:
    rng = random.Random(8)
    schema = CollectionSchema({"": VectorSchema(2, "l2")}, fields=FIELDS)
    payloads = [{path: rng.choices(values, k=rng.randrange(4)) for path, values in VALUES.items()} for _ in range(300)]
    with Collection.create(tmp_path / "c", schema, has_upkeep=False) as collection:
        collection.upsert([Point(i, {"": np.zeros(2)}, payload) for i, payload in enumerate(payloads)])
        if is_sealed:
            collection.optimise()
        collection.delete([0, 7, 9])
        live = [payload for i, payload in enumerate(payloads) if i not in (0, 7, 9)]
        for filter_, chosen in (
            (None, live),
            (Filter((Range("n", lt=0),)), [payload for payload in live if min(payload["n"], default=0) < 0]),
        ):
            for path in VALUES:
                counts = Counter(value for payload in chosen for value in set(payload[path]))
                expected = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
                assert collection.facet(path, filter_=filter_, limit=100) == expected
                assert collection.facet(path, filter_=filter_, limit=2) == expected[:2]
