"""Exact search of rows as they lie in memory: for small collections, for narrow filters, and the oracle of the
graph.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import InputError, ShapeError, UnsupportedError
from hekla.kernels.flat_search import flat_answer, flat_nearest, rows_of, scores_of
from hekla.kernels.graph_state import DONE, LATE, REFUSED
from hekla.kernels.measures import MEASURES, Measure
from hekla.runtime.residence import ask_for
from hekla.vector.index.cold import is_in_memory
from hekla.vector.index.found import NO_BITMAP, Answer, Bitmap, Found
from hekla.vector.index.metric import Metric
from hekla.vector.index.searcher import Numbers

NAMES = {m: m.name.lower() for m in Metric}
SLICE_WORDS = 64  # of 64 rows, between two looks at the clock


def search_flat(
    rows: Numbers,
    query: Numbers,
    k: int,
    metric: Metric,
    *,
    allowed: Bitmap | None = None,
    dead: Bitmap | None = None,
    threads: int = 1,
) -> Found:
    """Return the k nearest of rows (n, d) to a query (d,) of the same type; equal distances go to the smaller row.

    Types: f32, f16, i8 for L2, DOT and COSINE; f32, f16 for MANHATTAN; u8, whole bytes of bits, for HAMMING. Rows may
    be
    any distance apart; they are not copied. Distances are as `Metric` says, computed in f32.
    Errors: ShapeError; UnsupportedError for a metric and type that do not go together; InputError for k below 1 or a
    query
    with NaN. Rows with NaN are never found before others.
    """
    if rows.ndim != 2 or query.shape != rows.shape[1:]:
        raise ShapeError("query", expected=f"({rows.shape[-1]},)", got=query.shape)
    if k < 1:
        raise InputError(f"is 1 or more, got {k}", where="k")
    measure = measure_of(metric, rows, query)
    if query.dtype.kind == "f" and not np.isfinite(query).all():
        raise InputError("has NaN or infinity", where="query")
    threads = max(1, min(threads, len(rows) // 64))
    best = np.zeros((threads, min(k, max(1, len(rows)))), np.uint64)
    counts = np.zeros(threads, np.int64)
    flat_nearest(
        query, rows, NO_BITMAP if allowed is None else allowed, NO_BITMAP if dead is None else dead, threads, best,
        counts,
        scores=measure.many, sign=measure.sign,
    )  # fmt: skip
    keys = np.sort(np.concatenate([part[:count] for part, count in zip(best, counts, strict=True)]))[:k]
    return Found(rows_of(keys), _distances(metric, scores_of(keys, measure.sign)))


class FlatSearcher:
    """Searches rows (n, d) as they lie in memory, from any number of threads, time and again.

    ids: (n,) u64. scoring: how scores follow from ranks (`hekla.kernels.measures`), None as the metric has it.
    Errors: UnsupportedError as `search_flat`.
    """

    __slots__ = ("_fixed", "_idle", "_measure", "_one", "_scoring", "element")

    def __init__(self, rows: Numbers, ids: NDArray[np.uint64], metric: Metric, scoring: int | None = None) -> None:
        self._measure = measure_of(metric, rows, rows)
        self._fixed = (rows, ids)
        self._scoring = self._measure.scoring if scoring is None else scoring
        self._idle: list[NDArray[np.uint64]] = []
        self._one: Callable[..., bool] | None = None
        self.element = rows.dtype

    def ask_for(self) -> None:
        """Ask the system to read all rows, where they are mapped and not in memory."""
        rows = self._fixed[0]
        if not is_in_memory(rows):
            ask_for(rows.ctypes.data, rows.nbytes)

    def into(
        self,
        answer: Answer,
        given: Numbers,
        k: int,
        *,
        allowed: Bitmap | None = None,
        dead: Bitmap | None = None,
        part: int = 0,
        until: float | None = None,
    ) -> int:
        """Merge the k nearest of a query (d,), of the type of the rows, into an answer. As `Searcher.into`."""
        one = self._one
        if one is None:
            measure = self._measure
            one = self._one = flat_answer.compile(
                T=measure.element, scores=measure.many, sign=measure.sign, offset=measure.offset, scoring=self._scoring
            ).entry
        try:
            best = self._idle.pop()  # one step of the interpreter: threads need no lock
        except IndexError:
            best = np.zeros(max(k, 64), np.uint64)
        if len(best) < k:
            best = np.zeros(2 * k, np.uint64)
        rows, ids = self._fixed
        words = (len(rows) + 63) // 64
        step = words if until is None else SLICE_WORDS
        first = 0
        while True:
            is_good = one(
                given, rows, NO_BITMAP if allowed is None else allowed, NO_BITMAP if dead is None else dead, ids, part,
                first, first + step, k, best, *answer.arrays,
            )  # fmt: skip
            first += step
            if not is_good or first >= words or (until is not None and time.perf_counter() > until):
                break
        self._idle.append(best)
        if not is_good:
            return REFUSED
        return DONE if first >= words else LATE


def exact_distances(rows: Numbers, query: Numbers, places: NDArray[np.int64], metric: Metric) -> NDArray[np.float32]:
    """Return the distances of some rows, (len(places),) f32: what re-ranks the answers of a graph. Errors: as
    `search_flat`.
    """
    scores = np.zeros(len(places), np.float32)
    measure_of(metric, rows, query).many(query, rows[places], scores)
    return _distances(metric, scores)


def reranked(found: Found, rows: Numbers, query: Numbers, k: int, metric: Metric) -> Found:
    """Return the k nearest of what was found, by exact distances to the rows as they were given."""
    distances = exact_distances(rows, query, found.rows, metric)
    order = np.lexsort((found.rows, distances))[:k]
    return Found(found.rows[order], distances[order], found.is_complete, found.blocks_read)


def measure_of(metric: Metric, rows: Numbers, query: Numbers) -> Measure:
    """Return how rows are measured. Errors: UnsupportedError for a metric and types that do not go together."""
    name, kind = NAMES[metric], rows.dtype.name
    if (name, kind) not in MEASURES or query.dtype != rows.dtype:
        known = ", ".join(kind for metric_name, kind in MEASURES if metric_name == name)
        raise UnsupportedError(
            f"{metric.name} does not go with rows of {kind} and a query of {query.dtype}", where="metric",
            cure=f"use one of {known} for both",
        )  # fmt: skip
    return MEASURES[name, kind]


def _distances(metric: Metric, scores: NDArray[np.float32]) -> NDArray[np.float32]:
    if metric is Metric.DOT:
        return -scores
    if metric is Metric.COSINE:
        return np.float32(1) - scores
    return scores
