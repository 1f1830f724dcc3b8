"""Exact search of rows as they lie in memory: for small collections, for narrow filters, and the oracle of the
graph.
"""

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import InputError, ShapeError, UnsupportedError
from hekla.kernels.flat_search import SCORES, flat_nearest, rows_of, scores_of
from hekla.vector.index.found import NO_BITMAP, Bitmap, Found
from hekla.vector.index.metric import Metric
from hekla.vector.index.searcher import Numbers

NAMES = {m: m.name.lower() for m in Metric}


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
    kernel, sign = _scores(metric, rows, query)
    if query.dtype.kind == "f" and not np.isfinite(query).all():
        raise InputError("has NaN or infinity", where="query")
    threads = max(1, min(threads, len(rows) // 64))
    best = np.zeros((threads, min(k, max(1, len(rows)))), np.uint64)
    counts = np.zeros(threads, np.int64)
    flat_nearest(
        query, rows, NO_BITMAP if allowed is None else allowed, NO_BITMAP if dead is None else dead, threads, best,
        counts,
        scores=kernel, sign=sign,
    )  # fmt: skip
    keys = np.sort(np.concatenate([part[:count] for part, count in zip(best, counts, strict=True)]))[:k]
    return Found(rows_of(keys), _distances(metric, scores_of(keys, sign)))


def exact_distances(rows: Numbers, query: Numbers, places: NDArray[np.int64], metric: Metric) -> NDArray[np.float32]:
    """Return the distances of some rows, (len(places),) f32: what re-ranks the answers of a graph. Errors: as
    `search_flat`.
    """
    kernel, _ = _scores(metric, rows, query)
    scores = np.zeros(len(places), np.float32)
    kernel(query, rows[places], scores)
    return _distances(metric, scores)


def reranked(found: Found, rows: Numbers, query: Numbers, k: int, metric: Metric) -> Found:
    """Return the k nearest of what was found, by exact distances to the rows as they were given."""
    distances = exact_distances(rows, query, found.rows, metric)
    order = np.lexsort((found.rows, distances))[:k]
    return Found(found.rows[order], distances[order], found.is_complete, found.blocks_read)


def _scores(metric: Metric, rows: Numbers, query: Numbers):  # type: ignore[no-untyped-def]  # kernels have no type of their own
    name, kind = NAMES[metric], rows.dtype.name
    if (name, kind) not in SCORES or query.dtype != rows.dtype:
        known = ", ".join(kind for metric_name, kind in SCORES if metric_name == name)
        raise UnsupportedError(
            f"{metric.name} does not go with rows of {kind} and a query of {query.dtype}", where="metric",
            cure=f"use one of {known} for both",
        )  # fmt: skip
    return SCORES[name, kind]


def _distances(metric: Metric, scores: NDArray[np.float32]) -> NDArray[np.float32]:
    if metric is Metric.DOT:
        return -scores
    if metric is Metric.COSINE:
        return np.float32(1) - scores
    return scores
