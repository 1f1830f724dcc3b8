"""Several lists of hits as one."""

from collections.abc import Sequence

import numpy as np

from hekla.base.errors import InputError
from hekla.vector.hits import NO_HITS, Hits, best_of
from hekla.vector.queries import Fusion
from hekla.vector.rows import AnyArray


def fused(lists: Sequence[Hits], fusion: Fusion, limit: int) -> Hits:
    """Return the lists as one, best first. Errors: InputError where the weights are not one a list."""
    weights = fusion.weights or (1.0,) * len(lists)
    if len(weights) != len(lists):
        raise InputError(f"{len(weights)} weights for {len(lists)} prefetches", where="$.query.weights")
    if not any(len(hits) for hits in lists):
        return NO_HITS
    keys = np.concatenate([hits.keys() for hits in lists])
    scores = np.concatenate([_scores(hits, fusion, weight) for hits, weight in zip(lists, weights, strict=True)])
    unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    totals = np.bincount(inverse, scores, len(unique))
    part = np.concatenate([hits.part for hits in lists])[first]
    row = np.concatenate([hits.row for hits in lists])[first]
    is_complete = all(hits.is_complete for hits in lists)
    return best_of([Hits(part, row, -totals.astype(np.float64), is_complete)], limit)


def _scores(hits: Hits, fusion: Fusion, weight: float) -> AnyArray:
    """Return the score of each hit of one list, the best one's the greatest."""
    if fusion.kind == "rrf":
        if weight <= 0:
            return np.zeros(len(hits))
        return 1.0 / ((np.arange(len(hits)) + 1) / weight + fusion.k - 1)
    good = -hits.rank.astype(np.float64)
    if not len(good):
        return good
    if fusion.kind == "weighted":
        low, high = good.min(), good.max()
    else:
        deviation = good.std(ddof=1) if len(good) > 1 else 0.0
        low, high = good.mean() - 3 * deviation, good.mean() + 3 * deviation
    return weight * ((good - low) / (high - low) if high > low else np.full(len(good), 0.5))
