"""Random interleavings over a collection that has everything: ids of both kinds, vectors of every type, every upkeep.

The oracle is a dict of what was written; distances are computed from it with NumPy, filters with Python.
"""

import math
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hekla.vector import (
    ALL,
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    HasId,
    HasVector,
    IsEmpty,
    Match,
    MatchText,
    Nearest,
    OrderBy,
    Point,
    Range,
    Search,
    SparseSchema,
    SparseVector,
    VectorSchema,
)
from hekla.vector.filters import Condition
from hekla.vector.point import PointId

SCHEMA = CollectionSchema(
    {
        "": VectorSchema(2, "l2"),
        "half": VectorSchema(3, "dot", "f16"),
        "byte": VectorSchema(2, "manhattan", "i8"),
        "bits": VectorSchema(9, "l2", "binary"),
        "late": VectorSchema(2, "dot", is_multi=True),
    },
    {"sparse": SparseSchema()},
    fields={"colour": FieldSchema("keyword"), "size": FieldSchema("integer"), "text": FieldSchema("text")},
    sync="off",
)
IDS: list[PointId] = [*range(8), 2**64 - 1, *(uuid.UUID(int=number << 60) for number in range(5)), uuid.UUID(int=3)]
WORDS = ["cat", "dog", "bird"]
Vectors = dict[str, Any]
Stored = tuple[Vectors, dict[str, Any]]

ids = st.sampled_from(IDS)
small = st.integers(-4, 4)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "colour": st.sampled_from(["red", "green", ["red", "green"], None, 7]),
        "size": st.one_of(st.integers(0, 3), st.just("no number"), st.lists(st.integers(0, 3), max_size=2)),
        "text": st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join),
    },
)
vectors = st.fixed_dictionaries(
    {},
    optional={
        "": st.lists(small, min_size=2, max_size=2),
        "half": st.lists(small, min_size=3, max_size=3),
        "byte": st.lists(small, min_size=2, max_size=2),
        "bits": st.lists(st.integers(0, 1), min_size=9, max_size=9),
        "late": st.lists(st.lists(small, min_size=2, max_size=2), min_size=1, max_size=3),
        "sparse": st.dictionaries(st.integers(0, 5), small.filter(bool), min_size=1, max_size=3),
    },
)


def given(made: Mapping[str, Any]) -> Vectors:
    """What the collection takes for vectors of the model."""
    return {name: as_sparse(value) if name == "sparse" else value for name, value in made.items()}


def as_sparse(value: Mapping[int, int]) -> SparseVector:
    return SparseVector(np.array(list(value), np.uint32), np.array(list(value.values()), np.float32))


def read(found: Mapping[str, Any]) -> Vectors:
    """Vectors of a record, as the model has them."""
    return {
        name: dict(zip(value.indices.tolist(), value.values.tolist(), strict=True))
        if isinstance(value, SparseVector)
        else np.asarray(value).tolist()
        for name, value in found.items()
    }


def score(name: str, stored: Any, query: Any) -> float:
    """The score by the definition. Greater is better for dot and late, smaller for distances."""
    if name == "sparse":
        return float(sum(value * stored.get(index, 0) for index, value in query.items()))
    one, other = np.asarray(stored, np.float64), np.asarray(query, np.float64)
    if name == "late":
        return float((other @ one.T).max(axis=1).sum())
    if name == "half":
        return float(one @ other)
    if name == "byte":
        return float(np.abs(one - other).sum())
    return float(np.sqrt(((one - other) ** 2).sum()))


def values_of(payload: Mapping[str, Any], key: str) -> list[Any]:
    value = payload.get(key)
    return value if isinstance(value, list) else [] if value is None else [value]


CONDITIONS: dict[str, tuple[Condition, Callable[[PointId, Stored], bool]]] = {
    "red": (Match("colour", ("red",)), lambda _, p: "red" in values_of(p[1], "colour")),
    "not green": (
        Filter(must_not=(Match("colour", ("green",)),)),
        lambda _, p: "green" not in values_of(p[1], "colour"),
    ),
    "large": (
        Range("size", gte=2),
        lambda _, p: any(isinstance(v, int) and v >= 2 for v in values_of(p[1], "size")),
    ),
    "empty": (IsEmpty("size"), lambda _, p: not values_of(p[1], "size")),
    "ids": (HasId(tuple(IDS[::3])), lambda key, _: key in IDS[::3]),
    "half": (HasVector("half"), lambda _, p: "half" in p[0]),
    "cat": (MatchText("text", "cat"), lambda _, p: "cat" in str(p[1].get("text", "")).split()),
    "either": (
        Filter(should=(Match("colour", ("red",)), HasVector("late"))),
        lambda _, p: "red" in values_of(p[1], "colour") or "late" in p[0],
    ),
}
conditions = st.one_of(st.none(), st.sampled_from(sorted(CONDITIONS)))


class EverythingMachine(RuleBasedStateMachine):
    """A collection of everything beside a dict."""

    @initialize()
    def create(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="hekla-vector-"))
        self.collection = Collection.create(self.root / "points", SCHEMA, has_upkeep=False)
        self.model: dict[PointId, Stored] = {}
        self.held: tuple[Path, dict[PointId, Stored]] | None = None

    def teardown(self) -> None:
        if hasattr(self, "collection"):
            self.collection.close()
            shutil.rmtree(self.root)

    @rule(points=st.lists(st.tuples(ids, vectors, payloads), max_size=5))
    def upsert(self, points: list[tuple[PointId, Vectors, dict[str, Any]]]) -> None:
        self.collection.upsert([Point(key, given(made), payload) for key, made, payload in points])
        self.model.update({key: (made, payload) for key, made, payload in points})

    @rule(keys=st.lists(ids, max_size=4))
    def delete(self, keys: list[PointId]) -> None:
        gone = set(keys) & set(self.model)
        assert self.collection.delete(keys) == len(gone)
        for key in gone:
            del self.model[key]

    @rule(name=st.sampled_from(sorted(CONDITIONS)))
    def delete_by_filter(self, name: str) -> None:
        gone = self.chosen(name)
        assert self.collection.delete(Filter((CONDITIONS[name][0],))) == len(gone)
        for key in gone:
            del self.model[key]

    @rule(keys=st.lists(ids, max_size=4), payload=payloads, is_whole=st.booleans())
    def edit_payload(self, keys: list[PointId], payload: dict[str, Any], is_whole: bool) -> None:
        edit = self.collection.overwrite_payload if is_whole else self.collection.set_payload
        assert edit(payload, keys) == len(set(keys) & set(self.model))
        for key in set(keys) & set(self.model):
            made, old = self.model[key]
            self.model[key] = (made, payload if is_whole else {**old, **payload})

    @rule(name=st.sampled_from(sorted(CONDITIONS)), gone=st.sampled_from(["colour", "size", "text"]))
    def delete_payload(self, name: str, gone: str) -> None:
        chosen = self.chosen(name)
        assert self.collection.delete_payload([gone], Filter((CONDITIONS[name][0],))) == len(chosen)
        for key in chosen:
            made, old = self.model[key]
            self.model[key] = (made, {k: v for k, v in old.items() if k != gone})

    @rule(changes=st.lists(st.tuples(ids, vectors), max_size=4))
    def update_vectors(self, changes: list[tuple[PointId, Vectors]]) -> None:
        here = [(key, made) for key, made in changes if key in self.model]
        self.collection.update_vectors([Point(key, given(made)) for key, made in here])
        for key, made in here:
            old, payload = self.model[key]
            self.model[key] = ({**old, **made}, payload)

    @rule(names=st.lists(st.sampled_from(["", "half", "late", "sparse"]), max_size=2), keys=st.lists(ids, max_size=3))
    def delete_vectors(self, names: list[str], keys: list[PointId]) -> None:
        self.collection.delete_vectors(names, keys)
        for key in set(keys) & set(self.model):
            made, payload = self.model[key]
            self.model[key] = ({name: each for name, each in made.items() if name not in names}, payload)

    @rule(is_there=st.booleans())
    def change_an_index(self, is_there: bool) -> None:
        """Filters give the same with and without."""
        if is_there:
            self.collection.create_field("size", FieldSchema("integer"))
        elif "size" in self.collection.schema.fields:
            self.collection.delete_field("size")

    @rule(is_whole=st.booleans())
    def seal_or_merge(self, is_whole: bool) -> None:
        self.collection.optimise(is_whole=is_whole)

    @rule()
    def close_and_open(self) -> None:
        self.collection.close()
        self.collection = Collection.open(self.root / "points", has_upkeep=False)

    @rule()
    def crash(self) -> None:
        """What is on disk now is what a killed process leaves: go on with a copy of it, made without closing."""
        copy = self.root / "copy"
        shutil.copytree(self.root / "points", copy)
        self.collection.close()
        shutil.rmtree(self.root / "points")
        copy.rename(self.root / "points")
        self.collection = Collection.open(self.root / "points", has_upkeep=False)
        assert self.collection.status().damaged == ()

    @rule()
    def snapshot(self) -> None:
        folder = self.root / "snapshot"
        shutil.rmtree(folder, ignore_errors=True)
        self.collection.snapshot(folder)
        self.held = (folder, dict(self.model))

    @precondition(lambda self: self.held is not None)
    @rule()
    def restore(self) -> None:
        """Put the snapshot in the collection's place: what came since is gone, nothing else changed."""
        assert self.held is not None
        folder, model = self.held
        self.collection.close()
        shutil.rmtree(self.root / "points")
        shutil.copytree(folder, self.root / "points")
        self.collection = Collection.open(self.root / "points", has_upkeep=False)
        self.model = dict(model)

    @rule(made=vectors.filter(bool), limit=st.integers(1, 20), offset=st.integers(0, 3), name=conditions)
    def search(self, made: Vectors, limit: int, offset: int, name: str | None) -> None:
        for using, query in given(made).items():
            filter_ = None if name is None else Filter((CONDITIONS[name][0],))
            found = self.collection.query(Search(Nearest(query, using), limit, offset=offset, filter=filter_)).points
            chosen = self.model if name is None else self.chosen(name)
            scores = {
                key: score(using, self.model[key][0][using], made[using])
                for key in chosen
                if using in self.model[key][0]
            }
            if using == "sparse":  # those above 0 are found
                scores = {key: value for key, value in scores.items() if value > 0}
            best = sorted(scores.values(), reverse=using in ("half", "late", "sparse"))[offset : offset + limit]
            assert np.allclose([point.score for point in found], best, atol=1e-3), using
            for point in found:
                assert math.isclose(point.score, scores[point.id], abs_tol=1e-3)
                assert point.payload == self.model[point.id][1]

    @rule(is_descending=st.booleans())
    def order(self, is_descending: bool) -> None:
        if "size" not in self.collection.schema.fields:
            return
        found = self.collection.query(Search(OrderBy("size", is_descending=is_descending), 100)).points
        each = {
            key: [v for v in values_of(payload, "size") if isinstance(v, int)]
            for key, (_, payload) in self.model.items()
        }
        choose = max if is_descending else min
        right = sorted((choose(values) for values in each.values() if values), reverse=is_descending)
        first: dict[PointId, float] = {}
        for point in found:
            first.setdefault(point.id, point.score)
        assert list(first.values()) == right

    def chosen(self, name: str) -> list[PointId]:
        return [key for key, stored in self.model.items() if CONDITIONS[name][1](key, stored)]

    @invariant()
    def everything_is_there(self) -> None:
        if not hasattr(self, "collection"):
            return
        assert len(self.collection) == len(self.model)
        records = {record.id: record for record in self.collection.retrieve(IDS, ALL)}
        assert records.keys() == self.model.keys()
        for key, (made, payload) in self.model.items():
            assert records[key].payload == payload
            stored = records[key].vectors
            assert stored is not None
            assert read(stored) == made
        page, after = self.collection.scroll(limit=3)
        listed = [record.id for record in page]
        while after is not None:
            page, after = self.collection.scroll(limit=3, after=after)
            listed += [record.id for record in page]
        assert listed == sorted(self.model, key=lambda key: (isinstance(key, uuid.UUID), int(key)))
        for name, (condition, _) in CONDITIONS.items():
            assert self.collection.count(Filter((condition,))) == len(self.chosen(name)), name


class ForgetfulMachine(EverythingMachine):
    """With updates that drop the vectors they do not name, as they once did."""

    @rule(key=ids, at=st.lists(small, min_size=2, max_size=2))
    def forget(self, key: PointId, at: list[int]) -> None:
        if key in self.model:
            made, payload = self.model[key]
            self.collection.upsert([Point(key, {"": at}, payload)])
            self.model[key] = ({**made, "": at}, payload)


def run_model(machine: type[EverythingMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=examples < 100,
            phases=[Phase.generate] if machine is ForgetfulMachine else list(Phase),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_collection_of_everything_does_what_a_dict_does() -> None:
    run_model(EverythingMachine, 4, 15)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_collection_of_everything_does_what_a_dict_does_for_long() -> None:
    run_model(EverythingMachine, 300, 40)


@pytest.mark.slow
def test_the_model_sees_a_vector_that_an_update_loses() -> None:
    with pytest.raises(AssertionError):
        run_model(ForgetfulMachine, 99, 25)
