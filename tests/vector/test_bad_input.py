"""What is wrong is refused by an embedded collection with a typed error that names the place, and changes nothing."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hekla.base.errors import HeklaError, InputError, NotFoundError
from hekla.vector import (
    ALL,
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    Fusion,
    HasId,
    Match,
    Nearest,
    Point,
    Range,
    Recommend,
    Search,
    SparseSchema,
    SparseVector,
    VectorSchema,
)
from hekla.vector.disk import Disk
from hekla.vector.errors import PointError
from hekla.vector.log import MAX_RECORD_BYTES, Log, log_path
from hekla.vector.schema import Metric, VectorDtype

NAN, INF = float("nan"), float("inf")
SCHEMA = CollectionSchema(
    {
        "l2": VectorSchema(2, "l2"),
        "cos": VectorSchema(2, "cosine"),
        "half": VectorSchema(2, "dot", "f16"),
        "byte": VectorSchema(2, "l2", "i8"),
        "bits": VectorSchema(2, "l2", "binary"),
        "late": VectorSchema(2, "dot", is_multi=True),
    },
    {"s": SparseSchema()},
    fields={"n": FieldSchema("integer"), "price": FieldSchema("float")},
    sync="off",
)
NUMBERS = 10


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Half of the points in a segment, half in memory."""
    with Collection.create(tmp_path_factory.mktemp("bad") / "points", SCHEMA, has_upkeep=False) as collection:
        collection.upsert([Point(i, {"l2": [i, 0], "cos": [1, i]}, {"n": i, "price": i / 2}) for i in range(5)])
        collection.optimise()
        collection.upsert(
            [Point(i, {"l2": [i, 0], "cos": [1, i]}, {"n": i, "price": i / 2}) for i in range(5, NUMBERS)]
        )
        yield collection


def deep_search() -> Search:
    search = Search(Nearest([1, 1], "l2"), 5)
    for _ in range(10_000):
        search = Search(Nearest([1, 1], "l2"), 5, prefetch=(search,))
    return search


def deep_payload() -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for _ in range(10_000):
        payload = {"a": payload}
    return payload


VECTORS: list[tuple[str, Any, str]] = [
    *(
        (name, [bad, 1], "NaN|infinity|is no i8|too large")
        for name in ("l2", "cos", "half", "late")
        for bad in (NAN, INF)
    ),
    ("byte", [NAN, 1], "is no i8"),
    ("byte", [300, 1], "is no i8"),
    ("bits", [NAN, 1], "NaN"),
    ("half", [1e6, 1], "too large for f16"),
    ("l2", [1e300, 1], "NaN or infinity"),
    ("cos", [0, 0], "no direction"),
    ("cos", [-0.0, 0.0], "no direction"),
    ("l2", [1], "expected 2 numbers"),
    ("l2", [], "expected 2 numbers"),
    ("l2", [[1, 2], [3, 4]], "expected 2 numbers"),
    ("l2", [[1], [2, 3]], "list of numbers"),
    ("l2", "ab", "list of numbers"),
    ("l2", [1 + 2j, 1], "list of numbers"),
    ("l2", [10**400, 1], "list of numbers"),
    ("late", [[1, 2], [3, NAN]], "NaN"),
    ("late", np.zeros((0, 2)), "expected|at least"),
    ("s", SparseVector(np.array([1], np.uint32), np.array([NAN], np.float32)), "NaN"),
    ("s", SparseVector(np.array([1, 1], np.uint32), np.array([1, 2], np.float32)), "twice"),
    ("s", SparseVector(np.array([1, 2], np.uint32), np.array([1], np.float32)), "2 indices and 1 values"),
    ("s", [1, 2], "sparse"),
    ("unknown", [1, 2], "no vector is named 'unknown'"),
]


@pytest.mark.parametrize(("name", "vector", "says"), VECTORS)
def test_a_vector_that_does_not_fit_is_refused_written_and_asked(
    kept: Collection, name: str, vector: Any, says: str
) -> None:
    with pytest.raises(HeklaError, match=says) as refused:
        kept.upsert([Point(1, {"l2": [9, 9]}), Point(77, {name: vector})])
    assert "points[1]" in str(refused.value)
    with pytest.raises(HeklaError):
        kept.search(vector, using=name)
    assert len(kept) == NUMBERS
    assert kept.search([1, 0], 1, using="l2")[0].score == 0, "nothing of the batch was kept"


IDS: list[Any] = [-1, 2**64, 1.5, "x", "", None, True, b"x", NAN, [1], {}, (1, 2)]


@pytest.mark.parametrize("value", IDS, ids=repr)
def test_what_is_no_id_is_refused_wherever_one_is_taken(kept: Collection, value: Any) -> None:
    uses: list[Callable[[], object]] = [
        lambda: kept.upsert([Point(value, {"l2": [1, 1]})]),
        lambda: kept.upsert_arrays([value], {"l2": np.zeros((1, 2))}),
        lambda: kept.delete([value]),
        lambda: kept.retrieve([value]),
        lambda: kept.count(Filter((HasId((value,)),))),
        lambda: kept.set_payload({"a": 1}, [value]),
        lambda: kept.update_vectors([Point(value, {"l2": [1, 1]})]),
    ]
    if value is not None:
        uses.append(lambda: kept.scroll(after=value))
    if isinstance(value, int) and not isinstance(value, bool):
        uses.append(lambda: kept.query(Search(Nearest(value, "l2"))))
        uses.append(lambda: kept.query(Search(Recommend((value,), using="l2"))))
    for number, use in enumerate(uses):
        try:
            use()
        except HeklaError:
            continue
        raise AssertionError(f"use {number} took it")
    assert len(kept) == NUMBERS


ASKED: list[tuple[dict[str, Any], str]] = [
    ({"limit": 0}, "limit"),
    ({"limit": -1}, "limit"),
    ({"limit": 1_000_001}, "1000000"),
    ({"limit": 10**30}, "1000000"),
    ({"limit": 1.5}, "limit"),
    ({"limit": "3"}, "limit"),
    ({"limit": None}, "limit"),
    ({"limit": 5, "offset": -1}, "offset"),
    ({"limit": 5, "offset": 1_000_000}, "1000000"),
    ({"limit": 5, "offset": "3"}, "offset"),
    ({"limit": 5, "deadline_s": "x"}, "seconds"),
    ({"limit": 5, "deadline_s": NAN}, "seconds"),
    ({"limit": 5, "filter": Filter((Range("n", gte=NAN),))}, "expected a number"),
    ({"limit": 5, "filter": Filter((Range("n", lt="x"),))}, "expected a number"),  # type: ignore[arg-type]  # as said
    ({"limit": 5, "filter": Filter(should=(Filter((Range("price", lte=NAN),)),))}, "expected a number"),
    ({"limit": 5, "prefetch": (deep_search(),)}, "over 8 deep"),
    ({"limit": 5, "using": "l22"}, "did you mean 'l2'"),
]


@pytest.mark.parametrize(("more", "says"), ASKED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_search_that_cannot_be_is_refused(kept: Collection, more: dict[str, Any], says: str) -> None:
    with pytest.raises(HeklaError, match=says):
        kept.search([1, 1], **{"using": "l2", **more})


def test_more_than_there_is_and_past_the_end(kept: Collection) -> None:
    assert len(kept.search([1, 1], 1_000_000, using="l2")) == NUMBERS
    assert len(kept.search([1, 1], 5, offset=8, using="l2")) == 2
    assert kept.search([1, 1], 5, offset=10, using="l2") == []
    assert kept.search([1, 1], 1, offset=999_999, using="l2") == []
    assert kept.search([1, 1], 5, using="half") == [], "no point has this one"
    assert kept.query_groups(Search(Nearest([1, 1], "l2")), "nothing") == []
    both = tuple(Search(Nearest([1, 1], name), 1000) for name in ("l2", "cos"))
    assert len(kept.query(Search(Fusion(), 1000, prefetch=both)).points) == NUMBERS
    for bound in (2**63, 2**64, -(2**70), INF):
        assert kept.count(Filter((Range("n", lte=bound),))) == (NUMBERS if bound > 0 else 0)
        assert kept.count(Filter((Match("n", (2**70,)),))) == 0


PAYLOADS: list[Any] = [
    None,
    [1],
    "x",
    {"a": 2**70},
    {1: 2},
    {"a": {1, 2}},
    {"a": "\ud800"},
    {"a": b"x"},
    deep_payload(),
]


@pytest.mark.parametrize("number", range(len(PAYLOADS)))
def test_a_payload_that_is_no_json_is_refused(kept: Collection, number: int) -> None:
    payload = PAYLOADS[number]
    with pytest.raises(HeklaError, match="payload"):
        kept.upsert([Point(5, {"l2": [1, 1]}, {"n": 1}), Point(6, {"l2": [1, 1]}, payload)])
    with pytest.raises(HeklaError, match="payload"):
        kept.upsert_arrays([5], {"l2": np.zeros((1, 2))}, [payload])
    assert kept.retrieve([5])[0].payload == {"n": 5, "price": 2.5}


def test_a_batch_over_a_limit_is_refused_whole(kept: Collection, tmp_path: Path) -> None:
    count = 1_000_001
    with pytest.raises(HeklaError, match="holds 1000001 points, the limit is 1000000; send several batches"):
        kept.upsert_arrays(np.arange(count, dtype=np.uint64), {"l2": np.broadcast_to(np.float32(1), (count, 2))})
    with pytest.raises(HeklaError, match="limit is 1000000"):
        kept.upsert([Point(1, {"l2": [9, 9]})] * count)
    with pytest.raises(HeklaError, match=r"payload: is .* bytes, the limit is 16777216"):
        kept.upsert([Point(1, {"l2": [9, 9]}, {"a": "x" * (1 << 24)})])
    assert kept.search([1, 0], 1, using="l2")[0].score == 0
    log = Log(Disk(), log_path(tmp_path, 1), next_sequence=1, good_bytes=0, policy="off")
    with pytest.raises(InputError, match="send several batches"):
        log.append(bytes(MAX_RECORD_BYTES + 1))
    assert log.append(b"next") == 1
    log.close()


def test_shapes_of_arrays_that_do_not_belong_together_are_refused(kept: Collection) -> None:
    ones = np.ones((2, 2), np.float32)
    wrong: list[tuple[Any, Any, Any]] = [
        (np.zeros((2, 2), np.uint64), ones, None),
        ([1, 2, 3], ones, None),
        ([1, 2], np.ones((2, 3)), None),
        ([1, 2], ones[0], None),
        ([1, 2], ones.astype(complex), None),
        ([1, 2], ones.astype(object), None),
        ([1, 2], ones.astype(str), None),
        ([1, 2], ones, [{}]),
        ([1, 2], ones, [{}, {}, {}]),
    ]
    for ids, vectors, payloads in wrong:
        with pytest.raises(HeklaError):
            kept.upsert_arrays(ids, {"l2": vectors}, payloads)
    with pytest.raises(HeklaError, match=r"vectors\['cos'\]\[1\]: is all zeros"):
        kept.upsert_arrays([1, 2], {"cos": np.array([[1, 1], [0, 0]])})
    assert len(kept) == NUMBERS


@pytest.mark.parametrize("vectors", [np.zeros(2, np.float32), [1.0, 2.0], None, "l2"])
def test_vectors_without_names_are_refused_with_how_to_name_them(kept: Collection, vectors: Any) -> None:
    with pytest.raises(PointError, match=r"\$\.points\[0\]\.vector: expected vectors by their names; write"):
        kept.upsert([Point(1, vectors)])


def test_the_last_of_points_with_one_id_in_a_batch_stays(tmp_path: Path) -> None:
    key = uuid.UUID(int=5)
    with Collection.create(tmp_path / "points", SCHEMA, has_upkeep=False) as collection:
        ids: list[Any] = [1, key, np.int64(1), str(key)]
        collection.upsert([Point(each, {"l2": [n, n]}, {"n": n}) for n, each in enumerate(ids)])
        collection.upsert_arrays([9, 9, 9], {"l2": np.array([[1, 1], [2, 2], [3, 3]])}, [{"n": n} for n in range(3)])
        assert [(r.id, r.payload) for r in collection.scroll()[0]] == [(1, {"n": 2}), (9, {"n": 2}), (key, {"n": 3})]
        assert len(collection) == 3


def test_what_is_no_collection_is_told_as_that(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("{}")
    for path in (file, file / "below", tmp_path / "nothing", tmp_path):
        with pytest.raises(NotFoundError, match="holds no collection"):
            Collection.open(path)
    with pytest.raises(HeklaError):
        Collection.create(file, SCHEMA)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize("dimension", [1, 2, 63, 65, 65_536])
@pytest.mark.parametrize("dtype", ["f32", "f16", "i8", "binary"])
@pytest.mark.parametrize("metric", ["l2", "dot", "cosine", "manhattan"])
def test_vectors_of_every_length_type_and_metric_are_found_sealed_and_not(
    tmp_path: Path, dimension: int, dtype: VectorDtype, metric: Metric
) -> None:
    rng = np.random.default_rng(dimension)
    vectors = rng.integers(0, 2, (6, dimension)) if dtype == "binary" else rng.integers(1, 20, (6, dimension)) / 4
    vectors[:, 0] = 1
    schema = CollectionSchema({"": VectorSchema(dimension, metric, dtype)}, sync="off")
    with Collection.create(tmp_path / "points", schema, has_upkeep=False) as collection:
        collection.upsert([Point(i, {"": vector}) for i, vector in enumerate(vectors)])
        in_memory = collection.search(vectors[3], 10)
        collection.optimise()
        assert [point.id for point in collection.search(vectors[3], 10)] == [point.id for point in in_memory]
        assert len(in_memory) == 6
        if metric in ("l2", "manhattan") and dtype != "i8":
            assert np.isclose(in_memory[0].score, 0, atol=1e-2)
            stored = np.asarray(collection.retrieve([int(str(in_memory[0].id))], ALL)[0].vectors[""])  # type: ignore[index]
            assert np.allclose(stored, vectors[3])
    with Collection.open(tmp_path / "points", is_read_only=True) as collection:
        assert [point.id for point in collection.search(vectors[3], 10)] == [point.id for point in in_memory]
        assert collection.verify() == []
