"""Exact search against NumPy, and what it refuses."""

import numpy as np
import pytest

from hekla.base.errors import InputError, ShapeError, UnsupportedError
from hekla.vector.index import Metric, bitmap_of, exact_distances, search_flat

METRICS = [
    (Metric.L2, "f4"), (Metric.L2, "f2"), (Metric.L2, "i1"), (Metric.DOT, "f4"), (Metric.DOT, "f2"), (Metric.DOT, "i1"),
    (Metric.COSINE, "f4"), (Metric.COSINE, "f2"), (Metric.COSINE, "i1"), (Metric.MANHATTAN, "f4"),
    (Metric.MANHATTAN, "f2"), (Metric.HAMMING, "u1"),
]  # fmt: skip


def by_numpy(
    rows: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]",
    query: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]",
    metric: Metric,
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    if metric is Metric.HAMMING:
        apart = np.bitwise_count(rows.view(np.uint8) ^ query.view(np.uint8))
        return np.asarray(apart.sum(axis=1), np.float64)
    x, q = rows.astype(np.float64), query.astype(np.float64)
    if metric is Metric.L2:
        return np.asarray(((x - q) ** 2).sum(axis=1))
    if metric is Metric.MANHATTAN:
        return np.asarray(np.abs(x - q).sum(axis=1))
    if metric is Metric.DOT:
        return -(x @ q)
    return np.asarray(1 - (x @ q) / np.sqrt((x**2).sum(axis=1) * (q**2).sum()))


@pytest.mark.parametrize(("metric", "kind"), METRICS, ids=lambda v: getattr(v, "name", v))
@pytest.mark.parametrize("threads", [1, 2])
def test_exact_search_is_what_numpy_finds(metric: Metric, kind: str, threads: int) -> None:
    rng = np.random.default_rng(1)
    rows = (
        (rng.normal(size=(500, 33)) * 40).astype(kind) if kind != "u1" else rng.integers(0, 256, (500, 33)).astype(kind)
    )
    query = rows[17].copy()
    found = search_flat(rows, query, 7, metric, threads=threads)
    wanted = by_numpy(rows, query, metric)
    assert np.allclose(found.distances, np.sort(wanted)[:7], rtol=2e-3, atol=2e-3)
    assert np.allclose(wanted[found.rows], np.sort(wanted)[:7], rtol=2e-3, atol=2e-3)
    assert np.allclose(exact_distances(rows, query, found.rows, metric), found.distances)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 1.0])
def test_only_what_is_allowed_and_not_dead_is_found(share: float) -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(1000, 8)).astype(np.float32)
    allowed, dead = rng.random(1000) < share, rng.random(1000) < 0.3
    found = search_flat(
        rows, rows[0], 10, Metric.L2, allowed=bitmap_of(allowed, 1000), dead=bitmap_of(dead, 1000), threads=2
    )
    passing = np.flatnonzero(allowed & ~dead)
    order = np.argsort(((rows[passing] - rows[0]) ** 2).sum(axis=1), kind="stable")[:10]
    assert found.rows.tolist() == passing[order].tolist()


def test_of_equal_rows_the_first_are_found() -> None:
    assert search_flat(np.ones((90, 4), np.float32), np.ones(4, np.float32), 3, Metric.DOT).rows.tolist() == [0, 1, 2]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_rows_give_few_answers(count: int) -> None:
    found = search_flat(np.zeros((count, 3), np.float32), np.zeros(3, np.float32), 10, Metric.L2, threads=4)
    assert found.rows.tolist() == list(range(count))


def test_what_does_not_fit_is_refused() -> None:
    rows, query = np.zeros((5, 3), np.float32), np.zeros(3, np.float32)
    with pytest.raises(ShapeError, match=r"query: expected shape \(3,\), got \[4\]"):
        search_flat(rows, np.zeros(4, np.float32), 1, Metric.L2)
    with pytest.raises(InputError, match="k: is 1 or more, got 0"):
        search_flat(rows, query, 0, Metric.L2)
    with pytest.raises(InputError, match="query: has NaN or infinity"):
        search_flat(rows, np.full(3, np.nan, np.float32), 1, Metric.L2)
    with pytest.raises(
        UnsupportedError, match=r"HAMMING does not go with rows of float32 .* use one of uint8 for both"
    ):
        search_flat(rows, query, 1, Metric.HAMMING)
