"""Searchers of parts that share an answer, against exact search of all rows at once."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hekla.base.errors import ShapeError, UnsupportedError
from hekla.kernels.answer import ANSWER_COUNT, ANSWER_IS_ZERO, PART_SHIFT
from hekla.kernels.graph_state import DONE, LATE, REFUSED
from hekla.vector.index import Metric, bitmap_of, build_graph, search_flat
from hekla.vector.index.flat import FlatSearcher
from hekla.vector.index.found import Answer
from hekla.vector.index.searcher import Graph, Searcher

Floats = NDArray[np.float32]
METRICS = (Metric.L2, Metric.DOT, Metric.COSINE)
CUT = 1700  # where the points are cut in two parts


def as_kind(points: Floats, kind: str) -> NDArray[np.generic]:
    return np.rint(points * 10).astype(np.int8) if kind == "i1" else points.astype(kind)


Graphs = Callable[[Metric, str], Graph]


@pytest.fixture(scope="module")
def graph_of(points: Floats) -> Graphs:
    """The graph over the first points, by metric and kind of number."""
    made: dict[tuple[Metric, str], Graph] = {}

    def graph_of(metric: Metric, kind: str) -> Graph:
        if (metric, kind) not in made:
            made[metric, kind] = build_graph(as_kind(points[:CUT], kind), metric, threads=2).graph
        return made[metric, kind]

    return graph_of


def expected_scores(metric: Metric, distances: Floats) -> NDArray[np.float64]:
    wide = distances.astype(np.float64)
    return {Metric.L2: np.sqrt(np.maximum(wide, 0)), Metric.DOT: -wide, Metric.COSINE: 1 - wide}[metric]


# each pair has a kernel of its own, which a fresh cache compiles
@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        pytest.param(metric, kind, marks=[] if (metric, kind) == (Metric.L2, "f4") else pytest.mark.slow)
        for metric in METRICS
        for kind in ("f4", "f2", "i1")
    ],
)
def test_two_parts_give_what_all_rows_at_once_give(
    graph_of: Graphs, points: Floats, queries: Floats, metric: Metric, kind: str
) -> None:
    rows = as_kind(points, kind)
    ids = np.random.default_rng(0).permutation(1 << 40 | np.arange(len(rows), dtype=np.uint64))
    allowed = np.random.default_rng(1).random(len(rows)) < 0.5
    first = Searcher(graph_of(metric, kind), originals=rows[:CUT], ids=ids[:CUT])
    second = FlatSearcher(rows[CUT:], ids[CUT:], metric)
    right = 0
    for is_filtered in (False, True):
        bitmap = bitmap_of(allowed, len(rows)) if is_filtered else None
        some = bitmap_of(allowed[:CUT], CUT) if is_filtered else None
        gone = bitmap_of(~allowed[CUT:], len(rows) - CUT) if is_filtered else None
        for query in as_kind(queries, kind):
            answer = Answer(10)
            assert first.into(answer, query, 10, 100, allowed=some, part=2) == DONE
            assert second.into(answer, query, 10, dead=gone, part=5) == DONE
            assert answer.answered[ANSWER_COUNT] == 10
            part, row = answer.places >> PART_SHIFT, answer.places & ((1 << PART_SHIFT) - 1)
            assert set(part.tolist()) <= {2, 5}
            row = row + CUT * (part == 5)
            exact = search_flat(rows, query, 10, metric, allowed=bitmap)
            right += len(np.intersect1d(row, exact.rows))
            assert (answer.known == ids[row]).all()
            assert (np.diff(answer.ranks) >= 0).all()
            assert np.allclose(answer.ranks[:3], exact.distances[:3], rtol=1e-4, atol=1e-4)
            assert np.allclose(answer.scores, expected_scores(metric, answer.ranks), rtol=1e-6, atol=1e-7)
    assert right >= 0.98 * 2 * 10 * len(queries)


def test_fewer_rows_than_wanted_are_all_found(points: Floats, queries: Floats) -> None:
    graph = build_graph(points[:5], Metric.L2).graph
    answer = Answer(20)
    Searcher(graph, originals=points[:5]).into(answer, queries[0], 20, 20)
    FlatSearcher(points[5:9], np.arange(5, 9, dtype=np.uint64), Metric.L2).into(answer, queries[0], 20, part=1)
    assert sorted(answer.known[: answer.answered[ANSWER_COUNT]].tolist()) == list(range(9))


def test_a_search_that_is_late_leaves_nothing_behind(graph_of: Graphs, points: Floats, queries: Floats) -> None:
    searcher = Searcher(graph_of(Metric.L2, "f4"), originals=points[:CUT])
    fresh, late, after = Answer(10), Answer(10), Answer(10)
    assert searcher.into(fresh, queries[0], 10, 300) == DONE
    assert searcher.into(late, queries[0], 10, 300, until=time.perf_counter() - 1) == LATE
    assert late.answered[ANSWER_COUNT] == 10
    assert searcher.into(after, queries[0], 10, 300) == DONE
    assert after.known.tolist() == fresh.known.tolist()


def test_rows_that_are_scanned_keep_the_deadline() -> None:
    rows = np.random.default_rng(2).normal(size=(9000, 4)).astype(np.float32)
    searcher = FlatSearcher(rows, np.arange(9000, dtype=np.uint64), Metric.L2)
    late, in_time = Answer(3), Answer(3)
    assert searcher.into(late, rows[8999], 3, until=time.perf_counter() - 1) == LATE
    assert late.known.max() < 4096
    assert searcher.into(in_time, rows[8999], 3, until=time.perf_counter() + 1000) == DONE
    assert in_time.known[0] == 8999


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_query_that_is_no_number_is_refused_and_the_next_is_answered(
    graph_of: Graphs, points: Floats, queries: Floats, bad: float
) -> None:
    for searcher in (
        Searcher(graph_of(Metric.COSINE, "f4"), originals=points[:CUT]),
        Searcher(graph_of(Metric.L2, "f4")),
    ):
        wrong = queries[0].copy()
        wrong[3] = bad
        answer = Answer(5)
        assert searcher.into(answer, wrong, 5, 10) == REFUSED
        assert answer.answered[ANSWER_COUNT] == 0
        assert searcher.into(answer, queries[0], 5, 10) == DONE
    flat = FlatSearcher(points, np.arange(len(points), dtype=np.uint64), Metric.L2)
    assert flat.into(answer, wrong, 5) == REFUSED


def test_a_query_of_zeros_is_told(graph_of: Graphs) -> None:
    answer = Answer(5)
    Searcher(graph_of(Metric.COSINE, "f4")).into(answer, np.zeros(40, np.float32), 5, 10)
    assert answer.answered[ANSWER_IS_ZERO] == 1


def test_rows_that_are_not_those_of_the_graph_are_refused(graph_of: Graphs, points: Floats) -> None:
    graph = graph_of(Metric.L2, "f4")
    with pytest.raises(ShapeError, match=r"originals: expected shape \(1700, 40\), got \[1699, 40\]"):
        Searcher(graph, originals=points[: CUT - 1])
    with pytest.raises(ShapeError, match="ids"):
        Searcher(graph, ids=np.zeros(3, np.uint64))
    with pytest.raises(UnsupportedError, match="rows of float64 are not ranked by l2"):
        Searcher(graph, originals=points[:CUT].astype(np.float64)).into(Answer(1), points[0], 1, 1)
