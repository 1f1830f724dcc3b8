"""Maximal marginal relevance: of candidates, those that are near the query and unlike each other.

Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking", SIGIR 1998, section 2.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hekla.vector.dense import exact_ranks
from hekla.vector.hits import Hits
from hekla.vector.rows import Dense, Sparse
from hekla.vector.version import Version

F64 = NDArray[np.float64]
MAX_CANDIDATES = 16_384


def diversified(
    version: Version, candidates: Hits, using: str, diversity: float, limit: int, until: float | None = None
) -> Hits:
    """Return `limit` of the candidates, best first, each chosen with regard to those before it.

    Of those left, next comes the one with the greatest (1 - diversity) * relevance - diversity * likeness to the most
    like of the chosen. Both are minus the rank: what the ranks of a metric have in common does not change the order.
    until: `time.perf_counter()` after which what is chosen is all, and flagged.
    """
    if not len(candidates):
        return candidates
    sparse = using in version.schema.sparse
    likeness = _sparse_likeness(version, candidates, using) if sparse else _dense_likeness(version, candidates, using)
    relevance = -candidates.rank
    nearest = np.full(len(candidates), -np.inf)  # likeness to the most like of the chosen
    is_left = np.ones(len(candidates), np.bool_)
    chosen = [int(np.argmax(relevance))]
    while True:
        is_left[chosen[-1]] = False
        if len(chosen) >= min(limit, len(candidates)):
            return candidates.take(np.array(chosen))
        if until is not None and time.perf_counter() > until:
            return replace(candidates.take(np.array(chosen)), is_complete=False)
        nearest = np.maximum(nearest, likeness(chosen[-1]))
        marginal = np.where(is_left, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        chosen.append(int(np.argmax(marginal)))


def _dense_likeness(version: Version, hits: Hits, using: str) -> Callable[[int], F64]:
    by_row = np.argsort(hits.row)  # `exact_ranks` takes as many rows as there are for all of them, in order
    groups = [(part, by_row[hits.part[by_row] == number]) for number, part in enumerate(version.parts)]

    def likeness(chosen: int) -> F64:
        column = version.parts[int(hits.part[chosen])].rows.dense[using]
        example = _vectors(column, int(hits.row[chosen]))
        like = np.empty(len(hits))
        for part, here in groups:
            if len(here):
                like[here] = -exact_ranks(part, using, example, hits.row[here], version.schema)
        return like

    return likeness


def _vectors(column: Dense, row: int) -> NDArray[np.generic]:
    if column.offsets is None:
        return column.values[row : row + 1]
    return column.values[int(column.offsets[row]) : int(column.offsets[row + 1])]


def _sparse_likeness(version: Version, hits: Hits, using: str) -> Callable[[int], F64]:
    columns: list[Sparse] = [part.rows.sparse[using] for part in version.parts]
    spans = [
        (columns[part], slice(int(columns[part].offsets[row]), int(columns[part].offsets[row + 1])))
        for part, row in zip(hits.part.tolist(), hits.row.tolist(), strict=True)
    ]
    indices = np.concatenate([column.indices[span] for column, span in spans])
    values = np.concatenate([column.values[span] for column, span in spans]).astype(np.float64)
    owner = np.repeat(np.arange(len(hits)), [span.stop - span.start for _, span in spans])

    def likeness(chosen: int) -> F64:
        column, span = spans[chosen]
        theirs, weights = column.indices[span], column.values[span]
        at = np.minimum(np.searchsorted(theirs, indices), len(theirs) - 1)
        products = np.where(theirs[at] == indices, values * weights[at], 0.0)
        return np.bincount(owner, products, minlength=len(hits)).astype(np.float64, copy=False)

    return likeness
