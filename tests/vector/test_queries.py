"""Every kind of query against its definition, on points in memory, in a segment, and in both."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hekla.base.errors import InputError, NotFoundError
from hekla.vector.collection import Collection
from hekla.vector.errors import PointError
from hekla.vector.filters import Filter, HasVector, Match, MatchText
from hekla.vector.point import Point, ScoredPoint, SparseVector
from hekla.vector.queries import Discover, Fusion, Nearest, OrderBy, Recommend, Sample, Search, Words
from hekla.vector.records import ALL, Wanted
from hekla.vector.schema import CollectionSchema, FieldSchema, SparseSchema, TextOptions, VectorSchema

SCHEMA = CollectionSchema(
    {
        "text": VectorSchema(8, "cosine"),
        "image": VectorSchema(4, "dot"),
        "late": VectorSchema(3, "cosine", is_multi=True),
        "bits": VectorSchema(16, "manhattan", "binary"),
        "small": VectorSchema(5, "l2", "i8"),
    },
    sparse={"words": SparseSchema()},
    fields={
        "body": FieldSchema("text", TextOptions("english")),
        "size": FieldSchema("integer"),
        "colour": FieldSchema("keyword"),
        "is_new": FieldSchema("bool"),
    },
    sync="off",
)
TEXTS = ["a cat sat", "the dog runs", "cats and dogs", "running with a cat and a cat", "nothing of the kind", ""]
N = 120


def made(key: int) -> Point:
    rng = np.random.default_rng(key)
    vectors: dict[str, Any] = {
        "text": rng.normal(size=8),
        "image": rng.normal(size=4).astype(np.float32),
        "late": rng.normal(size=(rng.integers(1, 4), 3)),
        "bits": rng.integers(0, 2, 16),
        "small": rng.integers(-100, 100, 5),
        "words": SparseVector(np.sort(rng.choice(20, 4, replace=False)).astype(np.uint32), rng.random(4, np.float32)),
    }
    if key % 7 == 0:
        del vectors["image"]
    payload = {
        "body": TEXTS[key % len(TEXTS)],
        "size": key % 10,
        "colour": ["red", "green", "blue"][key % 3],
        "is_new": key % 2 == 0,
        "nested": {"deep": key, "other": 1},
    }
    return Point(key, vectors, payload)


@pytest.fixture(scope="module", params=["memory", "segment", "both"])
def collection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    folder = tmp_path_factory.mktemp("queries") / "points"
    with Collection.create(folder, SCHEMA, has_upkeep=False) as made_collection:
        made_collection.upsert([made(key) for key in range(N // 2)])
        if request.param != "memory":
            made_collection.optimise()
        made_collection.upsert([made(key) for key in range(N // 2, N)])
        if request.param == "segment":
            made_collection.optimise()
        yield made_collection


def vector(key: int, name: str) -> Any:
    return np.asarray(made(key).vectors[name], np.float64)


def unit(x: Any) -> Any:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def points_of(collection: Collection, search: Search) -> list[ScoredPoint]:
    return collection.query(search).points


def expect(found: list[ScoredPoint], scores: dict[int, float], limit: int, *, is_distance: bool = False) -> None:
    """The points found have the best of these scores, each its own."""
    best = sorted(scores.values(), reverse=not is_distance)[:limit]
    assert np.allclose([point.score for point in found], best, atol=2e-5)
    for point in found:
        assert np.isclose(point.score, scores[int(point.id)], atol=2e-5)


def test_cosine_dot_l2_manhattan_and_max_sim(collection: Collection) -> None:
    q = np.random.default_rng(1000)
    query = q.normal(size=8)
    found = points_of(collection, Search(Nearest(query, "text"), 15))
    expect(found, {key: float(unit(vector(key, "text")) @ unit(query)) for key in range(N)}, 15)
    query = q.normal(size=4)
    found = points_of(collection, Search(Nearest(query, "image"), 15))
    expect(found, {key: float(vector(key, "image") @ query) for key in range(N) if key % 7}, 15)
    bits = q.integers(0, 2, 16)
    found = points_of(collection, Search(Nearest(bits, "bits"), 15))
    expect(found, {key: float((vector(key, "bits") != bits).sum()) for key in range(N)}, 15, is_distance=True)
    small = q.integers(-100, 100, 5)
    found = points_of(collection, Search(Nearest(small, "small"), 15))
    expect(found, {k: float(np.linalg.norm(vector(k, "small") - small)) for k in range(N)}, 15, is_distance=True)
    late = q.normal(size=(2, 3))
    found = points_of(collection, Search(Nearest(late, "late"), 15))
    sums = {key: float((unit(late) @ unit(vector(key, "late")).T).max(axis=1).sum()) for key in range(N)}
    expect(found, sums, 15)


def test_sparse_vectors_score_by_shared_dimensions(collection: Collection) -> None:
    query = SparseVector(np.array([7, 3], np.uint32), np.array([0.5, 2.0], np.float32))
    scores = {}
    for key in range(N):
        sparse = made(key).vectors["words"]
        assert isinstance(sparse, SparseVector)
        weights = dict(zip(sparse.indices.tolist(), sparse.values.tolist(), strict=True))
        if shared := 2.0 * weights.get(3, 0) + 0.5 * weights.get(7, 0):
            scores[key] = shared
    expect(points_of(collection, Search(Nearest(query, "words"), 20)), scores, 20)


def test_words_score_by_bm25(collection: Collection) -> None:
    texts = [
        ["a", "cat", "sat"],
        ["the", "dog", "run"],
        ["cat", "and", "dog"],
        [*"", "run", "with", "a", "cat", "and", "a", "cat"],
    ]
    texts += [["noth", "of", "the", "kind"], []]
    lengths = [len(texts[key % len(TEXTS)]) for key in range(N)]
    mean = sum(lengths) / sum(n > 0 for n in lengths)
    scores: dict[int, float] = {}
    for word in ("cat", "run"):
        having = sum(word in texts[key % len(TEXTS)] for key in range(N))
        rarity = np.log(1 + (sum(n > 0 for n in lengths) - having + 0.5) / (having + 0.5))
        for key in range(N):
            if count := texts[key % len(TEXTS)].count(word):
                norm = 1.2 * (1 - 0.75 + 0.75 * lengths[key] / mean)
                scores[key] = scores.get(key, 0) + float(rarity * count * 2.2 / (count + norm))
    expect(points_of(collection, Search(Words("Running cats", "body"), 50)), scores, 50)


def test_filters_and_thresholds_and_pages_hold(collection: Collection) -> None:
    query = np.ones(8)
    red = Filter((Match("colour", ("red",)), MatchText("body", "cat")))
    scores = {
        key: float(unit(vector(key, "text")) @ unit(query))
        for key in range(N)
        if key % 3 == 0 and "cat" in TEXTS[key % len(TEXTS)]
    }
    expect(points_of(collection, Search(Nearest(query, "text"), 50, filter=red)), scores, 50)
    above = points_of(collection, Search(Nearest(query, "text"), 50, filter=red, score_threshold=0.1))
    expect(above, {key: score for key, score in scores.items() if score >= 0.1}, 50)
    whole = points_of(collection, Search(Nearest(query, "text"), 30))
    assert points_of(collection, Search(Nearest(query, "text"), 10, offset=20)) == whole[20:30]


def test_fusion_joins_by_places_and_by_scores(collection: Collection) -> None:
    near = Search(Nearest(np.ones(8), "text"), 20)
    words = Search(Words("cats", "body"), 20)
    lists = [[point.id for point in points_of(collection, each)] for each in (near, words)]
    expected: dict[int, float] = {}
    for weight, ids in zip((1.0, 0.5), lists, strict=True):
        for place, key in enumerate(ids):
            expected[int(str(key))] = expected.get(int(str(key)), 0) + 1 / (59 + (place + 1) / weight)
    fused = points_of(collection, Search(Fusion("rrf", (1.0, 0.5)), 15, prefetch=(near, words)))
    expect(fused, expected, 15)
    by_score = points_of(collection, Search(Fusion("weighted"), 15, prefetch=(near, words)))
    assert all(0 <= point.score <= 2 for point in by_score)
    with pytest.raises(InputError, match="3 weights for 2 prefetches"):
        points_of(collection, Search(Fusion("rrf", (1, 1, 1)), 15, prefetch=(near, words)))


def test_a_query_over_prefetches_scores_only_what_they_found(collection: Collection) -> None:
    words = Search(Words("dogs", "body"), 30)
    ids = {int(str(point.id)) for point in points_of(collection, words)}
    rescored = points_of(collection, Search(Nearest(np.ones(8), "text"), 10, prefetch=(words,)))
    expect(rescored, {key: float(unit(vector(key, "text")) @ unit(np.ones(8))) for key in ids}, 10)


def test_recommendations_follow_the_examples_and_leave_them_out(collection: Collection) -> None:
    one, two, bad = (unit(vector(key, "text")) for key in (1, 2, 5))
    target = unit(2 * (one + two) / 2 - bad)
    found = points_of(collection, Search(Recommend((1, 2), (5,), "average", "text"), 10))
    others = [key for key in range(N) if key not in (1, 2, 5)]
    expect(found, {key: float(unit(vector(key, "text")) @ target) for key in others}, 10)
    found = points_of(collection, Search(Recommend((1, 2), (5,), "sum_scores", "text"), 10))
    sums = {key: float(unit(vector(key, "text")) @ (one + two - bad)) for key in others}
    expect(found, sums, 10)
    best = points_of(collection, Search(Recommend((1, 2), (5,), "best_score", "text"), 200))
    assert len(best) == N - 3
    likes = {key: max(unit(vector(key, "text")) @ one, unit(vector(key, "text")) @ two) for key in others}
    is_liked = [likes[int(str(p.id))] > unit(vector(int(str(p.id)), "text")) @ bad for p in best]
    assert is_liked == sorted(is_liked, reverse=True), "all that are liked come first"


def test_discovery_prefers_the_right_side_then_the_target(collection: Collection) -> None:
    found = points_of(collection, Search(Discover(3, ((1, 2), (4, 6)), "text"), 200))
    one, two, four, six, target = (unit(vector(key, "text")) for key in (1, 2, 4, 6, 3))

    def worth(key: int) -> tuple[float, float]:
        x = unit(vector(key, "text"))
        return float(np.sign(x @ one - x @ two) + np.sign(x @ four - x @ six)), float(x @ target)

    order = [int(str(point.id)) for point in found]
    assert set(order).isdisjoint({1, 2, 3, 4, 6})
    assert order == sorted(order, key=worth, reverse=True)


def test_order_by_sorts_by_an_index(collection: Collection) -> None:
    found = points_of(collection, Search(OrderBy("size", is_descending=True), N))
    sizes = [point.payload["size"] for point in found if point.payload is not None]
    assert sizes == sorted((key % 10 for key in range(N)), reverse=True)
    found = points_of(collection, Search(OrderBy("size", start_from=8), N))
    assert [point.score for point in found] == sorted(key % 10 for key in range(N) if key % 10 >= 8)
    with pytest.raises(InputError, match="cannot be ordered by"):
        points_of(collection, Search(OrderBy("colour"), 5))


def test_samples_are_drawn_by_their_seed(collection: Collection) -> None:
    drawn = [[point.id for point in points_of(collection, Search(Sample(seed), 20))] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 20


def test_groups_hold_the_best_of_each_value(collection: Collection) -> None:
    groups = collection.query_groups(Search(Nearest(np.ones(8), "text")), "colour", groups=3, group_size=4)
    assert {value for value, _ in groups} == {"red", "green", "blue"}
    everything = points_of(collection, Search(Nearest(np.ones(8), "text"), N))
    for value, points in groups:
        members = [p for p in everything if p.payload is not None and p.payload["colour"] == value]
        assert [p.id for p in points] == [p.id for p in members[:4]]


def test_facets_count_values(collection: Collection) -> None:
    assert collection.facet("colour") == [("blue", 40), ("green", 40), ("red", 40)]
    even = Filter((Match("is_new", (True,)),))
    assert collection.facet("size", filter_=even) == [(size, 12) for size in (0, 2, 4, 6, 8)]
    assert collection.facet("is_new") == [(False, 60), (True, 60)]


def test_scrolling_gives_every_point_once_in_order(collection: Collection) -> None:
    seen: list[Any] = []
    after = None
    while True:
        page, after = collection.scroll(after=after, limit=17, filter_=Filter((HasVector("image"),)))
        seen += [record.id for record in page]
        if after is None:
            break
    assert seen == [key for key in range(N) if key % 7]


def test_what_is_wanted_of_a_point_comes_back(collection: Collection) -> None:
    (record,) = collection.retrieve([9], ALL)
    assert record.vectors is not None
    assert np.allclose(np.asarray(record.vectors["text"]), unit(vector(9, "text")), atol=1e-6)
    assert np.array_equal(np.asarray(record.vectors["bits"]), vector(9, "bits"))
    (record,) = collection.retrieve([9], Wanted(payload=("nested.deep", "size")))
    assert record.payload == {"nested": {"deep": 9}, "size": 9}
    (record,) = collection.retrieve([9], Wanted(payload=True, payload_without=("nested.deep", "body")))
    assert record.payload == {"nested": {"other": 1}, "size": 9, "colour": "red", "is_new": False}


def test_wrong_queries_name_their_place(collection: Collection) -> None:
    for search, place in (
        (Search(Nearest([1.0, 2.0], "text")), "$.query.vector"),
        (Search(Nearest([np.nan] * 8, "text")), "$.query.vector"),
        (Search(Nearest([0.0] * 8, "text")), "$.query.vector"),
        (Search(Nearest([1.0] * 8, "txt")), "$.query"),
        (Search(Nearest([1.0] * 8, "text"), limit=0), "$.limit"),
        (Search(Nearest([1.0] * 8, "text"), filter=deep_filter(70)), "$.filter"),
    ):
        with pytest.raises((PointError, InputError)) as caught:
            points_of(collection, search)
        assert caught.value.where.startswith(place)
    with pytest.raises(NotFoundError, match="no point 12345"):
        points_of(collection, Search(Nearest(12345, "text")))


def deep_filter(depth: int) -> Filter:
    return Filter((deep_filter(depth - 1),)) if depth else Filter()


def test_large_whole_numbers_are_ordered_exactly(tmp_path: Path) -> None:
    schema = CollectionSchema({}, fields={"at": FieldSchema("integer")}, sync="off")
    with Collection.create(tmp_path / "points", schema, has_upkeep=False) as collection:
        collection.upsert([Point(key, {}, {"at": 2**40 + 3 - key}) for key in range(4)])
        found = collection.query(Search(OrderBy("at"))).points
        assert [point.id for point in found] == [3, 2, 1, 0]
        assert [point.score for point in found] == [2**40 + n for n in range(4)]
