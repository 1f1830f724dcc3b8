"""Several lists of hits as one."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from hekla.base.errors import InputError
from hekla.kernels.rank_fusion import fuse_lists
from hekla.vector.hits import NO_HITS, Hits, best_of
from hekla.vector.queries import Fusion
from hekla.vector.rows import AnyArray

_FEW = 512  # hits in all


def fused(lists: Sequence[Hits], fusion: Fusion, limit: int) -> Hits:
    """Return the lists as one, best first. Errors: InputError where the weights are not one a list."""
    weights = fusion.weights or (1.0,) * len(lists)
    if len(weights) != len(lists):
        raise InputError(f"{len(weights)} weights for {len(lists)} prefetches", where="$.query.weights")
    count = sum(len(hits) for hits in lists)
    if not count:
        return NO_HITS
    scores = np.concatenate([_scores(hits, fusion, weight) for hits, weight in zip(lists, weights, strict=True)])
    if count <= _FEW:
        return _few(lists, scores, limit)
    keys = np.concatenate([hits.keys() for hits in lists])
    unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    totals = np.bincount(inverse, scores, len(unique))
    part = np.concatenate([hits.part for hits in lists])[first]
    row = np.concatenate([hits.row for hits in lists])[first]
    is_complete = all(hits.is_complete for hits in lists)
    return best_of([Hits(part, row, -totals.astype(np.float64), is_complete)], limit)


def _few(lists: Sequence[Hits], scores: AnyArray, limit: int) -> Hits:
    """Return few hits as one list."""
    part = np.concatenate([hits.part for hits in lists])
    row = np.concatenate([hits.row for hits in lists])
    room = min(limit, len(row))
    out = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
    n = fuse_lists(part, row, scores, np.empty(len(row), np.uint64), np.empty(len(row)), *out)
    return Hits(out[0][:n], out[1][:n], out[2][:n], all(hits.is_complete for hits in lists))


@lru_cache(maxsize=64)
def _place_scores(count: int, k: float, weight: float) -> AnyArray:
    """Return the scores of places: 1 / (place / weight + k - 1), the first place 1."""
    if weight <= 0:
        return np.zeros(count)
    scores: AnyArray = 1.0 / ((np.arange(count) + 1) / weight + k - 1)
    scores.flags.writeable = False
    return scores


def _scores(hits: Hits, fusion: Fusion, weight: float) -> AnyArray:
    """Return the score of each hit of one list, the best one's the greatest."""
    if fusion.kind == "rrf":
        return _place_scores(len(hits), fusion.k, weight)
    good = -hits.rank.astype(np.float64)
    if not len(good):
        return good
    if fusion.kind == "weighted":
        low, high = good.min(), good.max()
    else:
        deviation = good.std(ddof=1) if len(good) > 1 else 0.0
        low, high = good.mean() - 3 * deviation, good.mean() + 3 * deviation
    return weight * ((good - low) / (high - low) if high > low else np.full(len(good), 0.5))
