"""An index made anew as something else answers as what it is now, over segments that were written before."""

from pathlib import Path
from typing import Any

import numpy as np

from hekla.vector import (
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    Match,
    MatchText,
    Point,
    Range,
    TextOptions,
    VectorSchema,
)
from hekla.vector.payload.part_fields import indexes_of

FIELDS = {"m": FieldSchema("integer"), "text": FieldSchema("text", TextOptions("english"))}
STORED: list[dict[str, Any]] = [{"m": 5, "text": "running cats"}, {"m": "5", "text": "run"}, {"m": 6, "text": "cat"}]


def test_a_path_indexed_as_something_else_answers_as_that(tmp_path: Path) -> None:
    schema = CollectionSchema({"": VectorSchema(2, "l2")}, fields=FIELDS)
    with Collection.create(tmp_path / "c", schema, has_upkeep=False) as collection:
        collection.upsert([Point(i, {"": np.zeros(2)}, payload) for i, payload in enumerate(STORED)])
        collection.optimise()
        five = Filter((Match("m", ("5",)),))
        assert collection.count(Filter((MatchText("text", "runs"),))) == 2
        before = collection._store.version
        collection.create_field("m", FieldSchema("keyword"))
        collection.create_field("text", FieldSchema("text"))
        for version in (before, collection._store.version):  # a segment of before is not taken for what it is not
            part = version.parts[0]
            index = indexes_of(part, collection.schema)["m"]
            words = np.zeros(1, np.uint64)
            index.mark_terms(["5"], words)
            assert words.tolist() == [2]
        assert collection.count(five) == 1
        assert collection.count(Filter((Range("m", gte=5),))) == 2
        assert collection.count(Filter((MatchText("text", "runs"),))) == 0
        assert collection.count(Filter((MatchText("text", "run"),))) == 1
