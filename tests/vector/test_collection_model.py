"""Random interleavings of writes, searches, seals, merges and crashes: a plain dict is the oracle."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hekla.vector.collection import Collection
from hekla.vector.filters import Filter, Match, Range
from hekla.vector.point import Point
from hekla.vector.queries import Nearest, Search
from hekla.vector.records import ALL
from hekla.vector.schema import CollectionSchema, FieldSchema, VectorSchema

SCHEMA = CollectionSchema(
    {"": VectorSchema(2, "l2")}, fields={"colour": FieldSchema("keyword"), "size": FieldSchema("integer")}, sync="off"
)
ids = st.integers(0, 15)
coordinates = st.tuples(st.integers(-5, 5), st.integers(-5, 5))
colours = st.sampled_from(["red", "green"])
payloads = st.fixed_dictionaries({}, optional={"colour": colours, "size": st.integers(0, 3)})
Stored = tuple[tuple[int, int], dict[str, Any]]


class CollectionMachine(RuleBasedStateMachine):
    """A collection beside a dict."""

    @initialize()
    def create(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="hekla-vector-"))
        self.collection = Collection.create(self.root / "points", SCHEMA, has_upkeep=False)
        self.model: dict[int, Stored] = {}

    def teardown(self) -> None:
        if hasattr(self, "collection"):
            self.collection.close()
            shutil.rmtree(self.root)

    @rule(points=st.lists(st.tuples(ids, coordinates, payloads), max_size=6))
    def upsert(self, points: list[tuple[int, tuple[int, int], dict[str, Any]]]) -> None:
        self.collection.upsert([Point(key, {"": list(at)}, payload) for key, at, payload in points])
        self.model.update({key: (at, payload) for key, at, payload in points})

    @rule(
        points=st.lists(st.tuples(ids, coordinates, payloads), min_size=1, max_size=8),
        keys=st.lists(ids, max_size=4),
        is_waited_for=st.booleans(),
    )
    def submit(
        self, points: list[tuple[int, tuple[int, int], dict[str, Any]]], keys: list[int], is_waited_for: bool
    ) -> None:
        """Point by point, waiting for none; what comes after counts after them."""
        futures = [self.collection.submit([Point(key, {"": list(at)}, payload)]) for key, at, payload in points]
        self.model.update({key: (at, payload) for key, at, payload in points})
        if is_waited_for:
            self.collection.flush()
            assert all(future.done() and future.exception() is None for future in futures)
        assert self.collection.delete(keys) == len({key for key in keys if self.model.pop(key, None)})

    @rule(keys=st.lists(ids, max_size=4))
    def delete(self, keys: list[int]) -> None:
        gone = {key for key in keys if key in self.model}
        assert self.collection.delete(keys) == len(gone)
        for key in gone:
            del self.model[key]

    @rule(colour=colours)
    def delete_by_filter(self, colour: str) -> None:
        gone = [key for key, (_, payload) in self.model.items() if payload.get("colour") == colour]
        assert self.collection.delete(Filter((Match("colour", (colour,)),))) == len(gone)
        for key in gone:
            del self.model[key]

    @rule(keys=st.lists(ids, max_size=4), payload=payloads)
    def set_payload(self, keys: list[int], payload: dict[str, Any]) -> None:
        self.collection.set_payload(payload, keys)
        for key in set(keys) & set(self.model):
            at, old = self.model[key]
            self.model[key] = (at, {**old, **payload})

    @rule(key=ids, at=coordinates)
    def move(self, key: int, at: tuple[int, int]) -> None:
        if key in self.model:
            self.collection.update_vectors([Point(key, {"": list(at)})])
            self.model[key] = (at, self.model[key][1])

    @rule()
    def seal(self) -> None:
        self.collection.optimise(is_whole=False)

    @rule()
    def merge(self) -> None:
        self.collection.optimise()

    @rule()
    def close_and_open(self) -> None:
        self.collection.close()
        self.collection = Collection.open(self.root / "points", has_upkeep=False)

    @rule()
    def crash(self) -> None:
        """What is on disk now is what a killed process leaves: open a copy of it, without closing."""
        copy = self.root / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.root / "points", copy)
        self.collection.close()
        shutil.rmtree(self.root / "points")
        copy.rename(self.root / "points")
        self.collection = Collection.open(self.root / "points", has_upkeep=False)
        assert self.collection.status().damaged == ()

    @rule()
    def snapshot_is_the_same(self) -> None:
        shutil.rmtree(self.root / "snapshot", ignore_errors=True)
        self.collection.snapshot(self.root / "snapshot")
        with Collection.open(self.root / "snapshot", has_upkeep=False) as copy:
            assert {int(record.id) for record in copy.scroll(limit=100)[0]} == set(self.model)

    @rule(at=coordinates, limit=st.integers(1, 20), colour=st.one_of(st.none(), colours), size=st.integers(0, 3))
    def search(self, at: tuple[int, int], limit: int, colour: str | None, size: int) -> None:
        conditions = (Range("size", gte=size),) if colour is None else (Match("colour", (colour,)),)
        filter_ = Filter(conditions) if size else None
        found = self.collection.query(Search(Nearest(list(at)), limit, filter=filter_)).points

        def is_wanted(payload: dict[str, Any]) -> bool:
            return not size or (payload.get("size", -1) >= size if colour is None else payload.get("colour") == colour)

        apart = sorted(
            float(np.hypot(x - at[0], y - at[1])) for (x, y), payload in self.model.values() if is_wanted(payload)
        )
        assert np.allclose([point.score for point in found], apart[:limit], atol=1e-5)
        for point in found:
            (x, y), payload = self.model[int(point.id)]
            assert point.payload == payload
            assert is_wanted(payload)
            assert np.isclose(point.score, np.hypot(x - at[0], y - at[1]), atol=1e-5)

    @invariant()
    def everything_is_there(self) -> None:
        if not hasattr(self, "collection"):
            return
        assert len(self.collection) == len(self.model)
        records = self.collection.retrieve(range(16), ALL)
        assert [record.id for record in records] == sorted(self.model)
        for record in records:
            at, payload = self.model[int(record.id)]
            assert record.payload == payload
            assert record.vectors is not None
            assert np.array_equal(np.asarray(record.vectors[""]), np.array(at, np.float32))
        assert self.collection.count(Filter((Match("colour", ("red",)),))) == sum(
            payload.get("colour") == "red" for _, payload in self.model.values()
        )


TestCollectionModel = CollectionMachine.TestCase
TestCollectionModel.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
