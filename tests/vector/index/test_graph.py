"""The graph index against exact search."""

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from hekla.base.errors import DtypeError, InputError, ShapeError, TooLargeError, UnsupportedError
from hekla.vector.index import (
    GraphIndex,
    GraphOptions,
    Metric,
    Way,
    bitmap_of,
    blob_parts,
    build_graph,
    reranked,
    search_flat,
)

Floats = NDArray[np.float32]


def share_found(
    index: GraphIndex,
    rows: Floats,
    queries: Floats,
    metric: Metric,
    *,
    allowed: NDArray[np.bool_] | None = None,
    ef: int = 64,
) -> float:
    """Return the recall at 10, by distance: of equally near rows any will do."""
    bitmap = None if allowed is None else bitmap_of(allowed, len(rows))
    hits = 0
    wanted = 0
    for query in queries:
        exact = search_flat(rows, query, 10, metric, allowed=bitmap)
        found = index.search(query, 10, ef=ef, allowed=bitmap)
        if allowed is not None:
            assert allowed[found.rows].all()
        assert len(set(found.rows.tolist())) == len(found.rows)
        limit = exact.distances[-1] + 1e-3 * (1 + abs(exact.distances[-1]))
        hits += min(int((reranked(found, rows, query, 10, metric).distances <= limit).sum()), len(exact.rows))
        wanted += len(exact.rows)
    return hits / max(1, wanted)


@pytest.mark.parametrize("metric", [Metric.L2, Metric.DOT, Metric.COSINE])
@pytest.mark.parametrize("bits", [1, 2])
def test_nearly_all_of_the_nearest_are_found(points: Floats, queries: Floats, metric: Metric, bits: int) -> None:
    index = build_graph(points, metric, GraphOptions(bits=bits))
    assert share_found(index, points, queries, metric) >= 0.99


@pytest.mark.parametrize("metric", [Metric.L2, Metric.DOT, Metric.COSINE])
@pytest.mark.parametrize(("own", "k", "least"), [(16, 10, 0.99), (8, 10, 0.96), (4, 10, 0.6), (4, 40, 0.97)])
def test_small_blocks_find_nearly_as_much(
    points: Floats, queries: Floats, metric: Metric, own: int, k: int, least: float
) -> None:
    index = build_graph(points, metric).compacted(own, threads=2)
    hits = 0
    for query in queries:
        found = reranked(index.search(query, k, ef=80), points, query, 10, metric)
        exact = search_flat(points, query, 10, metric)
        hits += len(np.intersect1d(found.rows, exact.rows))
        filtered = index.search(query, 5, allowed=bitmap_of(np.arange(3000) % 4 == 1, 3000))
        assert (filtered.rows % 4 == 1).all()
        assert len(filtered.rows) == 5
    assert hits >= least * 10 * len(queries)


def test_small_blocks_are_made_once(index: GraphIndex) -> None:
    small = index.compacted(8)
    assert small.bytes_per_vector < index.bytes_per_vector / 3
    with pytest.raises(UnsupportedError, match="own codes of 4 bits cannot be made of 8 ones"):
        small.compacted(4)


def test_an_index_of_other_vectors_is_noticed(points: Floats, queries: Floats) -> None:
    index = build_graph(points[::-1].copy(), Metric.L2)
    assert share_found(index, points, queries, Metric.L2) < 0.2


def test_vectors_without_any_structure_are_found_with_a_larger_ef() -> None:
    rows = np.random.default_rng(3).normal(size=(2000, 24)).astype(np.float32)
    queries = np.random.default_rng(4).normal(size=(20, 24)).astype(np.float32)
    assert share_found(build_graph(rows, Metric.L2), rows, queries, Metric.L2, ef=200) >= 0.98


def test_distances_are_those_of_the_metric(index: GraphIndex, points: Floats, queries: Floats) -> None:
    for metric in (Metric.L2, Metric.DOT, Metric.COSINE):
        some = index if metric is Metric.L2 else build_graph(points, metric)
        found = some.search(queries[0], 5)
        exact = reranked(found, points, queries[0], 5, metric)
        assert np.allclose(found.distances, exact.distances, rtol=1e-3, atol=2e-2)


def test_distances_are_in_order_and_rows_occur_once(index: GraphIndex, queries: Floats) -> None:
    for query in queries:
        found = index.search(query, 50, ef=10)
        assert len(found.rows) == 50
        assert (np.diff(found.distances) >= 0).all()
        assert len(np.unique(found.rows)) == 50


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_recall_holds_under_filters_of_any_share(
    index: GraphIndex, points: Floats, queries: Floats, share: float
) -> None:
    allowed = np.random.default_rng(5).random(len(points)) < share
    assert share_found(index, points, queries, Metric.L2, allowed=allowed) >= 0.98


@pytest.mark.parametrize("sign", [-1, 1], ids=["far from the query", "near the query"])
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_recall_holds_under_filters_correlated_with_the_query(
    index: GraphIndex, points: Floats, queries: Floats, sign: int, share: float
) -> None:
    for query in queries[:5]:
        distances = sign * ((points - query) ** 2).sum(axis=1)
        allowed = distances <= np.quantile(distances, share)
        assert share_found(index, points, query[None], Metric.L2, allowed=allowed) >= 0.98


@pytest.mark.parametrize("share", [0.05, 0.4])
def test_exact_distances_tell_apart_what_is_far_and_nearly_as_far(
    index: GraphIndex, points: Floats, queries: Floats, share: float
) -> None:
    hits = 0
    for query in queries[:10]:
        distances = ((points - query) ** 2).sum(axis=1)
        bitmap = bitmap_of(distances >= np.quantile(distances, 1 - share), 3000)
        exact = search_flat(points, query, 10, Metric.L2, allowed=bitmap)
        found = index.search(query, 10, allowed=bitmap, originals=points)
        hits += len(np.intersect1d(found.rows, exact.rows))
    assert hits >= 98


def test_a_filter_that_allows_few_is_scanned_and_one_that_allows_most_is_walked(index: GraphIndex) -> None:
    few, most = np.zeros(3000, np.bool_), np.ones(3000, np.bool_)
    few[:20], most[:20] = True, False
    assert index.plan(allowed=bitmap_of(few, 3000)).way is Way.SCAN
    assert index.plan(allowed=bitmap_of(most, 3000)).way is Way.WALK
    assert index.plan().explain().startswith("graph: a walk costs about")


def test_a_filter_that_allows_nothing_finds_nothing(index: GraphIndex, queries: Floats) -> None:
    found = index.search(queries[0], 5, allowed=bitmap_of(np.zeros(3000, np.bool_), 3000))
    assert found.rows.tolist() == []
    assert found.is_complete


def test_dead_rows_are_not_found_and_rows_past_a_bitmap_are_not_allowed(index: GraphIndex, queries: Floats) -> None:
    nearest = index.search(queries[0], 5).rows
    assert not set(index.search(queries[0], 20, dead=bitmap_of(nearest, 3000)).rows) & set(nearest)
    short = index.search(queries[0], 20, allowed=bitmap_of(np.ones(64, np.bool_), 64))
    assert short.rows.max() < 64
    assert len(short.rows) == 20


def test_many_searches_are_what_single_ones_are(index: GraphIndex, queries: Floats) -> None:
    allowed = bitmap_of(np.random.default_rng(6).random(3000) < 0.3, 3000)
    for bitmap in (None, allowed):
        for threads in (1, 2, 64):
            many = index.search_many(queries, 10, allowed=bitmap, threads=threads)
            for i, query in enumerate(queries):
                one = index.search(query, 10, allowed=bitmap)
                assert many.rows[i].tolist() == one.rows.tolist()
                assert many.distances[i].tolist() == one.distances.tolist()


def test_many_searches_under_a_narrow_filter_have_empty_places(index: GraphIndex, queries: Floats) -> None:
    many = index.search_many(queries[:2], 4, allowed=bitmap_of(np.array([7, 8]), 3000))
    assert sorted(many.rows[0].tolist()) == [-1, -1, 7, 8]
    assert np.isnan(many.distances[0, 2:]).all()


@pytest.mark.parametrize("share", [None, 0.005, 0.3])
def test_a_deadline_that_is_over_gives_the_best_so_far(index: GraphIndex, queries: Floats, share: float | None) -> None:
    allowed = None if share is None else bitmap_of(np.random.default_rng(7).random(3000) < share, 3000)
    late = index.search(queries[0], 10, ef=2000, allowed=allowed, deadline_s=0.0)
    assert not late.is_complete or share == 0.005  # so few are done before the clock is looked at
    assert late.blocks_read <= 64
    in_time = index.search(queries[0], 10, ef=200, allowed=allowed, deadline_s=1000.0)
    assert in_time.is_complete
    assert in_time.rows.tolist() == index.search(queries[0], 10, ef=200, allowed=allowed).rows.tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 31, 33, 65])
def test_small_collections_are_found_whole(count: int) -> None:
    rows = np.random.default_rng(8).normal(size=(count, 5)).astype(np.float32)
    index = build_graph(rows, Metric.L2)
    found = index.search(np.zeros(5, np.float32), 100, ef=100)
    assert sorted(found.rows.tolist()) == list(range(count))
    assert index.search_many(np.zeros((2, 5), np.float32), 3).rows.shape == (2, 3)


@pytest.mark.parametrize("metric", [Metric.L2, Metric.DOT, Metric.COSINE])
@pytest.mark.parametrize("value", [0.0, 1.0, 1e-30, 1e15])
def test_identical_vectors_are_all_as_near(metric: Metric, value: float) -> None:
    rows = np.full((700, 8), value, np.float32)
    found = build_graph(rows, metric).search(np.ones(8, np.float32), 10)
    assert len(found.rows) == 10
    assert len(np.unique(found.distances)) == 1


def test_vectors_among_many_copies_are_found(points: Floats, queries: Floats) -> None:
    rows = np.concatenate((np.repeat(points[:5], 200, axis=0), points))
    index = build_graph(rows, Metric.L2)
    assert share_found(index, rows, queries, Metric.L2, ef=128) >= 0.98


def test_a_zero_vector_is_as_far_from_all_under_cosine(points: Floats) -> None:
    rows = points.copy()
    rows[100] = 0
    index = build_graph(rows, Metric.COSINE)
    found = index.search(-rows[5], 3000, ef=3000)
    assert abs(found.distances[found.rows.tolist().index(100)] - 1) < 1e-3
    assert len(index.search(np.zeros(40, np.float32), 5).rows) == 5


def test_vectors_far_beyond_the_others_are_found() -> None:
    rows = np.random.default_rng(9).normal(size=(800, 16)).astype(np.float32)
    rows[3] *= 1e6
    index = build_graph(rows, Metric.L2)
    assert index.search(rows[3], 1).rows.tolist() == [3]


@pytest.mark.parametrize("kind", ["f2", "i1", "f8", "u1"])
def test_other_types_of_numbers_are_taken(points: Floats, kind: str) -> None:
    rows = (points * 10).astype(np.int8).astype(kind)
    index = build_graph(rows, Metric.L2)
    assert index.search(rows[9], 1).distances[0] == pytest.approx(0, abs=1)


def bytes_of(index: GraphIndex) -> bytes:
    return b"".join(bytes(part) for part in blob_parts(index))


def test_equal_vectors_and_seed_give_equal_bytes_whatever_the_threads(points: Floats) -> None:
    one = bytes_of(build_graph(points, Metric.L2, threads=1))
    assert bytes_of(build_graph(points, Metric.L2, threads=2)) == one
    assert bytes_of(build_graph(points, Metric.L2, threads=3)) == one
    assert bytes_of(build_graph(points, Metric.L2, GraphOptions(seed=1))) != one


def test_threads_search_at_the_same_time(index: GraphIndex, queries: Floats) -> None:
    wanted = [index.search(q, 10).rows.tolist() for q in queries]
    wrong: list[int] = []

    def run() -> None:
        for _ in range(10):
            for i, query in enumerate(queries):
                if index.search(query, 10).rows.tolist() != wanted[i]:
                    wrong.append(i)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_pinned_copy_finds_the_same(index: GraphIndex, queries: Floats) -> None:
    assert (index.pinned().search_many(queries, 10).rows == index.search_many(queries, 10).rows).all()


def test_what_does_not_fit_is_refused(index: GraphIndex, points: Floats) -> None:
    with pytest.raises(ShapeError, match=r"query: expected shape \(40,\), got \[3\]"):
        index.search(np.zeros(3, np.float32), 1)
    with pytest.raises(ShapeError, match="queries"):
        index.search_many(np.zeros((2, 3), np.float32), 1)
    with pytest.raises(InputError, match="k: is 1 or more, got 0"):
        index.search(points[0], 0)
    with pytest.raises(InputError, match="ef: is 1 or more, got -1"):
        index.search(points[0], 1, ef=-1)
    for bad in (np.nan, np.inf, 1e30):
        query = points[0].copy()
        query[7] = bad
        with pytest.raises(InputError, match="query: has NaN, infinity or a length past what f32 holds"):
            index.search(query, 1)
        assert len(index.search(points[0], 1).rows) == 1
    rows = points.copy()
    rows[42, 3] = np.nan
    with pytest.raises(InputError, match=r"vectors\[42\]: has NaN"):
        build_graph(rows, Metric.COSINE)
    with pytest.raises(ShapeError, match="vectors"):
        build_graph(points[0], Metric.L2)
    with pytest.raises(DtypeError, match="vectors"):
        build_graph(np.array([["a"]]), Metric.L2)
    with pytest.raises(UnsupportedError, match="metric: no graph is searched by MANHATTAN; use exact search"):
        build_graph(points, Metric.MANHATTAN)
    with pytest.raises(TooLargeError, match="1 to 65536 coordinates"):
        build_graph(np.zeros((1, 65537), np.float32), Metric.L2)
    with pytest.raises(InputError, match="bits: is 1 or 2, got 3"):
        GraphOptions(bits=3)
