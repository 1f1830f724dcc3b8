"""Filters of every kind over a graph: the nearest of those that pass are found, rare or not, near or far."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from hekla.vector import (
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    GeoRadius,
    HasId,
    IsEmpty,
    IsNull,
    Match,
    MatchText,
    Nearest,
    Range,
    Search,
    TextOptions,
    VectorSchema,
)

ROWS, WIDTH, CLUSTERS, QUERIES = 14_000, 24, 40, 60
RNG = np.random.default_rng(5)
CENTRES = RNG.normal(size=(CLUSTERS, WIDTH))
OF = RNG.integers(0, CLUSTERS, ROWS)
VECTORS = (CENTRES[OF] + 0.35 * RNG.normal(size=(ROWS, WIDTH))).astype(np.float32)
ASKED = (VECTORS[RNG.integers(0, ROWS, QUERIES)] + 0.1 * RNG.normal(size=(QUERIES, WIDTH))).astype(np.float32)
SHARES = {"one": 0.01, "ten": 0.10, "half": 0.50}
DRAWN = {name: RNG.random(ROWS) < share for name, share in SHARES.items()}
LAT, LON = RNG.uniform(-60, 60, ROWS), RNG.uniform(-170, 170, ROWS)
SIZE = RNG.integers(0, 100, ROWS)
NOTE = RNG.integers(0, 10, ROWS)  # 0: null, 1: none at all, else a text
DELETED = np.arange(ROWS) % 97 == 0
SCHEMA = CollectionSchema(
    {"": VectorSchema(WIDTH, "l2")},
    fields={
        **{name: FieldSchema("bool") for name in SHARES},
        "cluster": FieldSchema("keyword"),
        "size": FieldSchema("integer"),
        "place": FieldSchema("geo"),
        "note": FieldSchema("text", TextOptions("english")),
    },
    sync="off",
)


def payload(row: int) -> dict[str, Any]:
    made: dict[str, Any] = {name: bool(drawn[row]) for name, drawn in DRAWN.items()}
    made |= {"cluster": f"c{OF[row]}", "size": int(SIZE[row]), "place": {"lat": LAT[row], "lon": LON[row]}}
    if NOTE[row] != 1:
        made["note"] = None if NOTE[row] == 0 else f"running dogs number {NOTE[row]}"
    return made


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    folder = tmp_path_factory.mktemp("filtered") / "points"
    with Collection.create(folder, SCHEMA, has_upkeep=False) as made:
        made.upsert_arrays(np.arange(ROWS, dtype=np.uint64), VECTORS, [payload(row) for row in range(ROWS)])
        made.optimise()
        made.delete(np.flatnonzero(DELETED).tolist())
        assert made.status().segments[0].has_graph
        yield made


def near_query(query: int, share: float) -> Any:  # an array of which rows
    """Rows of the share nearest to a query."""
    apart = ((VECTORS - ASKED[query]) ** 2).sum(axis=1)
    return apart <= np.quantile(apart, share)


def far_query(query: int, share: float) -> Any:  # an array of which rows
    """Rows of the share farthest from a query: no neighbour of where the walk ends passes."""
    apart = ((VECTORS - ASKED[query]) ** 2).sum(axis=1)
    return apart >= np.quantile(apart, 1 - share)


def has_id(rows: Any) -> HasId:
    return HasId(tuple(np.flatnonzero(rows).tolist()))


def of_far_clusters(query: int) -> tuple[str, ...]:
    apart = ((CENTRES - ASKED[query]) ** 2).sum(axis=1)
    return tuple(f"c{cluster}" for cluster in np.argsort(apart)[-8:])


def metres(lat: float, lon: float) -> Any:
    """Distance of every row, on a sphere of 6,371 km."""
    one, other = np.radians(LAT), np.radians(lat)
    half = np.sin((one - other) / 2) ** 2 + np.cos(one) * np.cos(other) * np.sin(np.radians(LON - lon) / 2) ** 2
    return 2 * 6_371_000 * np.arcsin(np.sqrt(half))


# By name: the filter for a query, and the rows that it holds for.
Case = tuple[Callable[[int], Filter], Callable[[int], Any]]
CASES: dict[str, Case] = {
    **{
        f"{name} of the points": (
            lambda _, name=name: Filter((Match(name, (True,)),)),  # type: ignore[misc]  # a default that binds
            lambda _, name=name: DRAWN[name],  # type: ignore[misc]  # likewise
        )
        for name in SHARES
    },
    "is null": (lambda _: Filter((IsNull("note"),)), lambda _: NOTE == 0),
    "is empty": (lambda _: Filter((IsEmpty("note"),)), lambda _: NOTE <= 1),
    "not empty": (lambda _: Filter(must_not=(IsEmpty("note"),)), lambda _: NOTE > 1),
    "full text": (lambda _: Filter((MatchText("note", "run dog 7"),)), lambda _: NOTE == 7),
    "a place": (lambda _: Filter((GeoRadius("place", 10, 20, 3e6),)), lambda _: metres(10, 20) <= 3e6),
    "a tree": (
        lambda _: Filter(
            must=(Range("size", gte=20), Filter(should=(Match("ten", (True,)), MatchText("note", "3")))),
            must_not=(Match("one", (True,)),),
        ),
        lambda _: (SIZE >= 20) & (DRAWN["ten"] | (NOTE == 3)) & ~DRAWN["one"],
    ),
    **{
        f"the {share:.0%} nearest by id": (
            lambda query, share=share: Filter((has_id(near_query(query, share)),)),  # type: ignore[misc]  # likewise
            lambda query, share=share: near_query(query, share),  # type: ignore[misc]  # likewise
        )
        for share in (0.01, 0.1, 0.5)
    },
    **{
        f"the {share:.0%} farthest by id": (
            lambda query, share=share: Filter((has_id(far_query(query, share)),)),  # type: ignore[misc]  # likewise
            lambda query, share=share: far_query(query, share),  # type: ignore[misc]  # likewise
        )
        for share in (0.01, 0.1, 0.5)
    },
    "far clusters": (
        lambda query: Filter((Match("cluster", of_far_clusters(query)),)),
        lambda query: np.isin(OF, [int(name[1:]) for name in of_far_clusters(query)]),
    ),
    "not its own cluster": (
        lambda query: Filter(must_not=(Match("cluster", (nearest_cluster(query),)),)),
        lambda query: int(nearest_cluster(query)[1:]) != OF,
    ),
}


def nearest_cluster(query: int) -> str:
    return f"c{int(np.argmin(((CENTRES - ASKED[query]) ** 2).sum(axis=1)))}"


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_nearest_that_pass_are_found(collection: Collection, name: str) -> None:
    filter_of, rows_of = CASES[name]
    right = wanted = 0
    for query in range(QUERIES):
        rows = np.flatnonzero(rows_of(query) & ~DELETED)
        apart = ((VECTORS[rows] - ASKED[query]) ** 2).sum(axis=1)
        best = set(rows[np.argsort(apart, kind="stable")[:10]].tolist())
        found = collection.query(Search(Nearest(ASKED[query]), 10, filter=filter_of(query))).points
        ids = {int(str(point.id)) for point in found}
        assert ids <= set(rows.tolist()), "every one passes the filter"
        assert len(ids) == len(found) == min(10, len(rows))
        right, wanted = right + len(ids & best), wanted + len(best)
    assert right >= 0.98 * wanted, f"recall {right / wanted:.3f}"


@pytest.mark.slow
def test_a_deadline_gives_the_best_so_far_flagged_and_enough_time_all(collection: Collection) -> None:
    flagged = 0
    for query in ASKED[:10]:
        whole = collection.query(Search(Nearest(query), 10, ef=400))
        assert whole.is_complete
        for is_exact in (False, True):
            for deadline_s in (0.0, -1.0, 1e-9, 1e-5, 1e-4):
                search = Search(Nearest(query), 10, ef=400, is_exact=is_exact, deadline_s=deadline_s)
                part = collection.query(search)
                scores = [point.score for point in part.points]
                assert scores == sorted(scores)
                assert len({point.id for point in part.points}) == len(part.points) <= 10
                if part.is_complete:
                    assert [point.id for point in part.points] == [point.id for point in whole.points]
                flagged += not part.is_complete
            enough = collection.query(Search(Nearest(query), 10, ef=400, is_exact=is_exact, deadline_s=60.0))
            assert enough.is_complete
            assert [point.id for point in enough.points] == [point.id for point in whole.points]
    assert flagged >= 30
