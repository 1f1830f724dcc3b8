"""The definition of near: distances of stored vectors from a query, the smaller the nearer.

l2: squared Euclidean. cosine: 1 - cosine. dot: minus the product. manhattan: sum of absolute differences. Of binary
vectors, whose coordinates are 0 and 1, l2 and manhattan count the bits that differ.
"""

import numpy as np
from numpy.typing import NDArray

from hekla.vector.rows import AnyArray, Dense
from hekla.vector.schema import Metric, VectorSchema

F32 = NDArray[np.float32]
_BLOCK = 8192  # rows turned into f32 at a time


def ranks_of(vector: VectorSchema, stored: AnyArray, query: AnyArray) -> F32:
    """Return how far each stored vector (n, row_shape) is from a query (row_shape,) in the stored form: (n,) f32."""
    if vector.dtype == "binary":
        return _binary(vector.metric, stored, query)
    wide = query.astype(np.float32, copy=False)
    if len(stored) <= _BLOCK:
        return _floats(vector, stored.astype(np.float32, copy=False), wide)
    ranks = np.empty(len(stored), np.float32)
    for first in range(0, len(stored), _BLOCK):
        block = stored[first : first + _BLOCK].astype(np.float32, copy=False)
        ranks[first : first + _BLOCK] = _floats(vector, block, wide)
    return ranks


def _floats(vector: VectorSchema, block: F32, query: F32) -> F32:
    if vector.metric == "l2":
        apart = block - query
        squares: F32 = np.einsum("nd,nd->n", apart, apart)
        return squares
    if vector.metric == "manhattan":
        sums: F32 = np.abs(block - query).sum(axis=1)
        return sums
    products: F32 = block @ query
    if vector.metric == "dot" or vector.dtype == "f32":
        # Of cosine, what is stored in f32 has length 1.
        away: F32 = -products if vector.metric == "dot" else 1 - products
        return away
    lengths = np.sqrt(np.einsum("nd,nd->n", block, block) * (query @ query))
    angles: F32 = 1 - products / np.maximum(lengths, np.finfo(np.float32).tiny)
    return angles


def _binary(metric: Metric, stored: AnyArray, query: AnyArray) -> F32:
    if metric in ("l2", "manhattan"):
        differ: F32 = np.bitwise_count(stored ^ query).sum(axis=1, dtype=np.int64).astype(np.float32)
        return differ
    both: F32 = np.bitwise_count(stored & query).sum(axis=1, dtype=np.int64).astype(np.float32)
    if metric == "dot":
        return np.negative(both)
    ones = np.bitwise_count(stored).sum(axis=1, dtype=np.int64) * int(np.bitwise_count(query).sum())
    cosine: F32 = 1 - both / np.sqrt(np.maximum(ones, 1)).astype(np.float32)
    return cosine


def max_sim_ranks(vector: VectorSchema, column: Dense, rows: AnyArray, queries: AnyArray) -> F32:
    """Return minus the sum over the query's vectors (m, d) of the greatest similarity to any of a row's vectors.

    Khattab and Zaharia, "ColBERT", SIGIR 2020. A row without vectors is infinitely far.
    """
    assert column.offsets is not None, "only a column of several vectors a row"
    starts = column.offsets[:-1][rows].astype(np.int64)
    lengths = column.offsets[1:][rows].astype(np.int64) - starts
    has = np.flatnonzero(lengths)
    ranks = np.full(len(rows), np.inf, np.float32)
    if not len(has):
        return ranks
    ends = np.cumsum(lengths[has])
    inner = np.arange(int(ends[-1])) + np.repeat(starts[has] - (ends - lengths[has]), lengths[has])
    values = column.values[inner]
    total = np.zeros(len(has), np.float32)
    for query in queries:
        total += np.minimum.reduceat(_similarity_rank(vector, values, query), ends - lengths[has])
    ranks[has] = total
    return ranks


def _similarity_rank(vector: VectorSchema, values: AnyArray, query: AnyArray) -> F32:
    """Return minus the similarity: of cosine the cosine itself, so that sums over vectors compare."""
    ranks = ranks_of(vector, values, query)
    if vector.metric == "cosine":
        ranks -= 1
    return ranks


def score_of(metric: Metric, ranks: NDArray[np.float64], *, is_multi: bool) -> NDArray[np.float64]:
    """Return the scores callers see: similarities for cosine and dot, distances for l2 (not squared) and manhattan."""
    if metric == "l2" and not is_multi:
        return np.sqrt(np.maximum(ranks, 0))
    if metric == "cosine" and not is_multi:
        ranks = ranks - 1
    return -ranks if metric in ("cosine", "dot") else ranks


def rank_of_score(metric: Metric, score: float, *, is_multi: bool) -> float:
    """Return the rank a score stands for."""
    if metric in ("manhattan",) or (is_multi and metric == "l2"):
        return score
    if metric == "l2":
        return score * score
    return 1 - score if metric == "cosine" and not is_multi else -score
