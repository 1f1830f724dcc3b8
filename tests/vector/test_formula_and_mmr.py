"""Formulas and diverse results against their definitions, on points in memory, in segments, and in both."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hekla.base.errors import InputError
from hekla.vector import (
    WITH_PAYLOAD,
    Collection,
    CollectionSchema,
    Diverse,
    FieldSchema,
    Filter,
    Formula,
    Match,
    Nearest,
    Point,
    Search,
    SparseSchema,
    SparseVector,
    VectorSchema,
    Words,
)
from hekla.vector.expressions import Decay, Distance, Expression, Fold, Function, MomentAt, Number, Score, Value, When
from hekla.vector.payload.geo import EARTH_RADIUS_M

SCHEMA = CollectionSchema(
    {
        "c": VectorSchema(6),
        "half": VectorSchema(4, "dot", "f16"),
        "late": VectorSchema(3, "dot", is_multi=True),
        "bits": VectorSchema(32, "l2", "binary"),
    },
    {"s": SparseSchema()},
    {"colour": FieldSchema("keyword"), "text": FieldSchema("text")},
    sync="off",
)
N = 60


def point(key: int) -> Point:
    rng = np.random.default_rng(key)
    vectors: dict[str, Any] = {  # Any: of every kind
        "c": rng.normal(size=6),
        "half": rng.normal(size=4),
        "late": rng.normal(size=(1 + key % 3, 3)),
        "bits": rng.integers(0, 2, 32),
        "s": SparseVector(np.sort(rng.choice(30, 6, replace=False)).astype(np.uint32), rng.random(6, np.float32)),
    }
    payload: dict[str, Any] = {  # Any: JSON
        "stars": key % 5,
        "colour": ("red", "green")[key % 2],
        "kind": "ab"[key % 2],
        "at": f"2024-01-{1 + key % 28:02}T00:00:00Z",
        "place": {"lat": key - 30.0, "lon": 3.0 * key - 90},
        "text": "fish" if key % 3 else "bread",
    }
    if key % 7 == 0:
        payload["stars"] = None
    return Point(key, vectors, payload)


@pytest.fixture(params=["memory", "segments", "both"])
def points(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Collection]:
    with Collection.create(tmp_path / "c", SCHEMA, has_upkeep=False) as collection:
        collection.upsert([point(key) for key in range(N // 2)])
        if request.param != "memory":
            collection.optimise()
        collection.upsert([point(key) for key in range(N // 2, N)])
        if request.param == "segments":
            collection.optimise(is_whole=False)
        collection.delete([3, 44])
        yield collection


QUERY = np.linspace(-1, 1, 6)
NEAR, FISH = Search(Nearest(QUERY, "c"), 30), Search(Words("fish", "text"), 100)


def haversine(payload: dict[str, Any]) -> float:
    a, b, c, d = map(math.radians, (10.0, 20.0, payload["place"]["lat"], payload["place"]["lon"]))
    half = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(half))


def stars(payload: dict[str, Any]) -> float:
    return 2.5 if payload["stars"] is None else payload["stars"]


DAY = 86400.0
Slow = Callable[[float, float, dict[str, Any]], float]  # (score near, score fish, payload)
FORMULAS: dict[str, tuple[Expression, Slow]] = {
    "scores": (Score() + 2 * Score(1), lambda near, fish, _: near + 2 * fish),
    "payload": (Score() * (1 + Value("stars")), lambda near, _, p: near * (1 + stars(p))),
    "indexed": (When(Match("colour", ("red",))) - Score(), lambda near, _, p: (p["colour"] == "red") - near),
    "read": (When(Match("kind", ("a",))) + Score(1), lambda _, fish, p: (p["kind"] == "a") + fish),
    "place": (
        Decay("gauss", Distance("place", 10, 20), scale=3e6, midpoint=0.3),
        lambda _, __, p: math.exp(math.log(0.3) * (haversine(p) / 3e6) ** 2),
    ),
    "time": (
        Decay("linear", MomentAt("at") / DAY, target=1704067200 / DAY, scale=20),
        lambda _, __, p: max(0.0, 1 - 0.5 * (int(p["at"][8:10]) - 1) / 20),
    ),
    "zero hides the rest": (Number(0) * Value("nowhere"), lambda *_: 0.0),
    "functions": (
        Function("sqrt", Value("stars")) ** 2 / Fold("max", (1, Value("stars"))) + Function("exp", -Score()),
        lambda near, _, p: stars(p) / max(1, stars(p)) + math.exp(-near),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_scores_what_was_found_by_its_definition(points: Collection, name: str) -> None:
    expression, slow = FORMULAS[name]
    near, fish = ({p.id: p for p in points.query(each).points} for each in (NEAR, FISH))
    expected = {
        id_: slow(
            near[id_].score if id_ in near else 0.0,
            fish[id_].score if id_ in fish else 0.0,
            dict((near.get(id_) or fish[id_]).payload or {}),
        )
        for id_ in {*near, *fish}
    }
    found = points.query(Search(Formula(expression, {"stars": 2.5}), 100, prefetch=(NEAR, FISH)))
    assert {p.id for p in found.points} == set(expected)
    np.testing.assert_allclose([p.score for p in found.points], sorted(expected.values(), reverse=True), rtol=1e-4)
    for p in found.points:
        assert math.isclose(p.score, expected[p.id], rel_tol=1e-4, abs_tol=1e-5)
    second = points.query(Search(Formula(expression, {"stars": 2.5}), 5, 3, prefetch=(NEAR, FISH)))
    assert [p.score for p in second.points] == [p.score for p in found.points[3:8]]


def test_a_formula_of_a_wrong_payload_names_point_and_path(points: Collection) -> None:
    wrong: tuple[tuple[Any, str], ...] = (  # Any: one of them is no expression at all
        (Value("stars"), "expected a number at 'stars' of point .*, got nothing; give 'stars' in `defaults`"),
        (Value("colour"), "expected a number at 'colour' of point .*, got '(red|green)'"),
        (MomentAt("colour"), "expected a date and time"),
        (Distance("colour", 0, 0), "expected a place"),
        (Function("ln", Score() * 0), "ln gives -inf for point"),
        (1 / (Score() - Score()), r"div gives (inf|nan) for point"),
        (Number(1e300), "the formula gives 1e\\+300 for point"),
        (Decay("gauss", Score(), scale=0), "scale: must be above 0"),
        (Decay("gauss", Score(), midpoint=1), "midpoint: must be between 0 and 1"),
        ("score", "expected an expression or a number, got 'score'"),
        (Fold("max", ()), "at least one operand"),
    )
    for expression, words in wrong:
        with pytest.raises(InputError, match=words):
            points.query(Search(Formula(expression), prefetch=(NEAR, FISH)))
    deep: Expression = Score()
    for _ in range(70):
        deep = -deep
    with pytest.raises(InputError, match="over 64 deep"):
        points.query(Search(Formula(deep), prefetch=(NEAR,)))
    with pytest.raises(InputError, match=r"\$.query.defaults.\$score: expected a number"):
        points.query(Search(Formula(Score(), {"$score": "x"}), prefetch=(NEAR,)))


def test_a_formula_needs_prefetches(points: Collection) -> None:
    with pytest.raises(InputError, match="there are none"):
        points.query(Search(Formula(Score())))


def test_a_formula_of_nothing_found_is_nothing(points: Collection) -> None:
    nothing = Search(Words("glacier", "text"), 5)
    assert points.query(Search(Formula(Value("stars")), prefetch=(nothing,))).points == []


def likeness(name: str, one: Any, other: Any) -> float:  # Any: vectors of any kind
    if name == "c":
        return float(np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other))
    if name == "half":
        return float(np.dot(np.float16(one).astype(np.float32), np.float16(other).astype(np.float32)))
    if name == "late":
        return float(sum(max(np.dot(q, v) for v in other) for q in one))
    if name == "bits":
        return -float((np.asarray(one) != np.asarray(other)).sum())
    weights = dict(zip(other.indices.tolist(), other.values.tolist(), strict=True))
    return float(sum(weights.get(i, 0.0) * v for i, v in zip(one.indices.tolist(), one.values.tolist(), strict=True)))


def slow_mmr(name: str, query: Any, candidates: list[int], diversity: float, limit: int) -> list[int]:
    vectors = {key: point(key).vectors[name] for key in candidates}
    chosen: list[int] = []
    while len(chosen) < min(limit, len(candidates)):
        left = [key for key in candidates if key not in chosen]
        chosen.append(
            max(
                left,
                key=lambda key: (
                    likeness(name, query, vectors[key])
                    if not chosen
                    else (1 - diversity) * likeness(name, query, vectors[key])
                    - diversity * max(likeness(name, vectors[other], vectors[key]) for other in chosen)
                ),
            )
        )
    return chosen


@pytest.mark.parametrize("name", ["c", "half", "late", "s"])
@pytest.mark.parametrize("diversity", [0.0, 0.35, 0.9])
def test_diverse_results_are_chosen_one_by_one(points: Collection, name: str, diversity: float) -> None:
    query = point(1000).vectors[name]
    filter_ = Filter(must=(Match("colour", ("green",)),))
    candidates = [int(p.id) for p in points.query(Search(Nearest(query, name), 25, filter=filter_)).points]
    found = points.query(Search(Diverse(query, name, diversity, 25), 8, filter=filter_))
    expected = slow_mmr(name, query, candidates, diversity, 8)
    assert [p.id for p in found.points] == expected
    scores = {p.id: p.score for p in points.query(Search(Nearest(query, name), 25, filter=filter_)).points}
    np.testing.assert_allclose([p.score for p in found.points], [scores[p.id] for p in found.points], rtol=1e-5)


def test_all_points_of_a_collection_can_be_candidates(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "c", CollectionSchema({"": VectorSchema(2, "l2")})) as collection:
        collection.upsert_arrays(np.arange(4, dtype=np.uint64), np.array([[9, 9], [0, 1], [0, 0], [1, 0]], np.float32))
        found = collection.query(Search(Diverse([0.1, 0], diversity=0.9, candidates=4), 2))
        assert [p.id for p in found.points] == [2, 0]


def test_diverse_bits_are_as_unlike_as_the_best(points: Collection) -> None:
    query = point(1000).vectors["bits"]
    found = [int(p.id) for p in points.query(Search(Diverse(query, "bits", 1.0, N), 3)).points]
    chosen = point(found[0]).vectors["bits"]
    unlike = [-likeness("bits", chosen, point(key).vectors["bits"]) for key in range(N) if key not in (3, 44, found[0])]
    assert -likeness("bits", chosen, point(found[1]).vectors["bits"]) == max(unlike)


def test_a_point_whose_neighbours_are_asked_for_is_not_found(points: Collection) -> None:
    found = points.query(Search(Diverse(5, "c", 0.5, 40), 40), WITH_PAYLOAD)
    assert len(found.points) == 40
    assert 5 not in {p.id for p in found.points}


def test_diversity_and_candidates_have_limits(points: Collection) -> None:
    for query, words in (
        (Diverse(QUERY, "c", 1.01), r"\$.query.diversity: must be 0 to 1, got 1.01"),
        (Diverse(QUERY, "c", -0.01), "must be 0 to 1"),
        (Diverse(QUERY, "c", float("nan")), "must be 0 to 1"),
        (Diverse(QUERY, "c", candidates=10**6), r"\$.query.candidates: must be 0 to 16384"),
    ):
        with pytest.raises(InputError, match=words):
            points.query(Search(query))


def test_diverse_results_joined_with_words(points: Collection) -> None:
    diverse = Search(Diverse(QUERY, "c", 0.5, 30), 10)
    found = points.query(Search(Formula(Score() + Score(1)), 20, prefetch=(diverse, FISH)))
    assert {p.id for p in points.query(diverse).points} <= {
        p.id for p in points.query(Search(Formula(Score()), 100, prefetch=(diverse, FISH))).points
    }
    assert len(found.points) == 20
