"""A growing graph against a plain dict, whatever is put in, deleted and looked for, in any order."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hekla.base.errors import InputError, ShapeError
from hekla.vector.index import GraphIndex, GraphOptions, GrowingGraph, Metric, bitmap_of, blob_parts, search_flat

Floats = NDArray[np.float32]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(1, 90), st.integers(0, 5)),
        st.tuples(st.just("delete"), st.integers(1, 40), st.integers(0, 99)),
        st.tuples(st.just("search"), st.integers(1, 12), st.integers(0, 99)),
    ),
    min_size=3,
    max_size=14,
)


def check(graph: GrowingGraph, kept: dict[int, Floats], query: Floats, k: int, metric: Metric) -> tuple[int, int]:
    """Return how many of the nearest were found, of how many; everything else must hold exactly."""
    found = graph.search(query, k, ef=128)
    assert set(found.rows.tolist()) <= set(kept)
    assert len(set(found.rows.tolist())) == len(found.rows) == min(k, len(kept))
    if not kept:
        return 0, 0
    rows = np.array(list(kept.values()))
    exact = search_flat(rows, query, k, metric)
    limit = exact.distances[-1] + 1e-2 * (1 + abs(exact.distances[-1]))
    return int((found.distances <= limit).sum()), len(exact.rows)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(steps=STEPS, metric=st.sampled_from([Metric.L2, Metric.DOT, Metric.COSINE]))
def test_a_growing_graph_finds_what_a_dict_holds(steps: list[tuple[str, int, int]], metric: Metric) -> None:
    graph = GrowingGraph(12, metric)
    kept: dict[int, Floats] = {}
    hits = wanted = 0
    for number, (what, size, seed) in enumerate(steps):
        rng = np.random.default_rng((number, seed))
        if what == "insert":
            rows = (rng.normal(size=(size, 12)) * (1 + seed)).astype(np.float32)
            places = graph.insert(rows)
            assert places == range(len(graph) - size, len(graph))
            kept.update(zip(places, rows, strict=True))
        elif what == "delete" and len(graph):
            some = rng.integers(0, len(graph), size)
            alive = {int(r) for r in some} & set(kept)
            assert graph.delete(some) == len(alive)
            for row in alive:
                del kept[row]
        else:
            found, there = check(graph, kept, rng.normal(size=12).astype(np.float32), size, metric)
            hits, wanted = hits + found, wanted + there
        assert graph.alive == len(kept)
    assert hits >= 0.9 * wanted


def test_a_graph_that_forgets_a_delete_is_noticed() -> None:
    graph = GrowingGraph(2, Metric.L2)
    graph.insert(np.eye(2, dtype=np.float32))
    with pytest.raises(AssertionError):
        check(graph, {0: np.eye(2, dtype=np.float32)[0]}, np.zeros(2, np.float32), 2, Metric.L2)


def recall(graph: GrowingGraph | GraphIndex, rows: Floats, queries: Floats) -> float:
    hits = [len(np.intersect1d(graph.search(q, 10).rows, search_flat(rows, q, 10, Metric.L2).rows)) for q in queries]
    return sum(hits) / (10 * len(queries))


@pytest.mark.parametrize("batch", [1, 100, 3000])
def test_a_grown_graph_finds_as_much_as_a_built_one(points: Floats, queries: Floats, batch: int) -> None:
    rows = points if batch > 1 else points[:600]
    graph = GrowingGraph(40, Metric.L2, threads=2)
    for start in range(0, len(rows), batch):
        graph.insert(rows[start : start + batch])
    assert recall(graph, rows, queries) >= 0.98


def test_points_that_come_cluster_by_cluster_are_found(queries: Floats) -> None:
    rng = np.random.default_rng(0)
    groups = [(rng.normal(size=(250, 40)) + 10 * rng.normal(size=40)).astype(np.float32) for _ in range(8)]
    graph = GrowingGraph(40, Metric.L2)
    for rows in groups:
        graph.insert(rows)
    every = np.concatenate(groups)
    assert recall(graph, every, every[::97]) >= 0.97


def test_an_index_grows_on(index: GraphIndex, points: Floats, queries: Floats) -> None:
    graph = GrowingGraph.of(index)
    more = (points[:500] + 0.01).astype(np.float32)
    assert graph.insert(more) == range(3000, 3500)
    assert recall(graph, np.concatenate((points, more)), queries) >= 0.97
    assert len(index) == 3000


def test_a_frozen_copy_does_not_change(queries: Floats, points: Floats) -> None:
    graph = GrowingGraph(40, Metric.L2)
    graph.insert(points[:1500])
    frozen = graph.frozen()
    before = frozen.search_many(queries, 10).rows
    graph.insert(points[1500:])
    assert (frozen.search_many(queries, 10).rows == before).all()
    assert len(frozen) == 1500


def test_equal_calls_make_equal_graphs(points: Floats) -> None:
    def grown(threads: int) -> bytes:
        graph = GrowingGraph(40, Metric.L2, GraphOptions(seed=3), threads=threads)
        for start in range(0, 1800, 600):
            graph.insert(points[start : start + 600])
        return b"".join(bytes(part) for part in blob_parts(graph.frozen()))

    assert grown(1) == grown(2)


def test_longer_and_longer_vectors_are_ranked_by_inner_product() -> None:
    rng = np.random.default_rng(1)
    graph = GrowingGraph(8, Metric.DOT)
    rows = rng.normal(size=(2000, 8)).astype(np.float32)
    rows *= (1 + np.arange(2000) / 500)[:, None].astype(np.float32)
    for start in range(0, 2000, 250):
        graph.insert(rows[start : start + 250])
    query = rng.normal(size=8).astype(np.float32)
    found, exact = graph.search(query, 10, ef=200), search_flat(rows, query, 10, Metric.DOT)
    assert len(np.intersect1d(found.rows, exact.rows)) >= 9
    assert np.allclose(found.distances[0], exact.distances[0], rtol=1e-2)


def test_filters_and_deletes_go_together(points: Floats) -> None:
    graph = GrowingGraph(40, Metric.L2)
    graph.insert(points)
    graph.delete(list(range(0, 3000, 2)))
    allowed = bitmap_of(np.arange(3000) % 3 == 0, 3000)
    found = graph.search(points[6], 20, ef=100, allowed=allowed)
    assert (found.rows % 6 == 3).all()
    assert (graph.search_many(points[6:8], 20, ef=100, allowed=allowed).rows % 6 == 3).all()
    assert graph.dead.dtype == np.uint64


def test_readers_go_on_while_rows_are_put_in(points: Floats, queries: Floats) -> None:
    graph = GrowingGraph(40, Metric.L2)
    graph.insert(points[:1000])
    done = threading.Event()
    wrong: list[str] = []

    def read() -> None:
        while not done.is_set():
            for query in queries[:5]:
                found = graph.search(query, 10)
                exact = ((points[found.rows] - query) ** 2).sum(axis=1)
                if not np.allclose(found.distances, exact, rtol=1e-2, atol=5e-2):
                    wrong.append(str(found))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for start in range(1000, 3000, 50):
        graph.insert(points[start : start + 50])
        graph.delete([start])
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert graph.alive == 3000 - 40


def test_what_is_refused_changes_nothing(points: Floats) -> None:
    graph = GrowingGraph(40, Metric.L2)
    graph.insert(points[:100])
    bad = points[:3].copy()
    bad[1, 1] = np.inf
    with pytest.raises(InputError, match=r"vectors\[1\]: has NaN, infinity"):
        graph.insert(bad)
    with pytest.raises(ShapeError, match=r"vectors: expected shape \(n, 40\)"):
        graph.insert(np.zeros((1, 3), np.float32))
    with pytest.raises(InputError, match="rows: are 0 to 99"):
        graph.delete([5, 100])
    assert (len(graph), graph.alive) == (100, 100)
    assert graph.insert(points[:0]) == range(100, 100)
