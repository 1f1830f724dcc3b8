"""Seeded sets of vectors: what the indexes are compared on, with exact answers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.vector.sentences import stored as stored_sentences

CLUSTERS = 200


@dataclass(frozen=True, slots=True)
class VectorSet:
    """Rows to index (n, dim) f32, queries (q, dim) f32 from the same source, and each query's nearest rows (q, k)."""

    name: str
    rows: NDArray[np.float32]
    queries: NDArray[np.float32]
    nearest: NDArray[np.int64]


def clustered(n: int, *, dimension: int = 128, queries: int = 1000, seed: int = 1, intrinsic: int = 60) -> VectorSet:
    """Return clusters, each stretched in its own directions; local intrinsic dimension about 24 at 128-d.

    A cluster's axes shrink along a power law, and its weight is drawn from a Dirichlet distribution.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLUSTERS, dimension)).astype(np.float32) * 0.6
    weights = rng.dirichlet(np.full(CLUSTERS, 2.0))
    which = rng.choice(CLUSTERS, n + queries, p=weights)
    spectrum = (1.0 / np.sqrt(1 + np.arange(intrinsic) / 14)).astype(np.float32)
    points = np.empty((n + queries, dimension), np.float32)
    for cluster in range(CLUSTERS):
        mine = np.flatnonzero(which == cluster)
        axes = np.linalg.qr(rng.normal(size=(dimension, intrinsic)))[0].T.astype(np.float32)
        inside = rng.normal(size=(len(mine), intrinsic)).astype(np.float32) * spectrum
        noise = rng.normal(size=(len(mine), dimension)).astype(np.float32) * 0.05
        points[mine] = centres[cluster] + inside @ axes + noise
    return with_answers(f"clustered-{n}x{dimension}", points[:n].copy(), points[n:].copy())


def low_rank_unit(
    n: int, *, dimension: int = 384, queries: int = 1000, seed: int = 2, intrinsic: int = 24
) -> VectorSet:
    """Return unit vectors near a curved surface of low intrinsic dimension, as sentence embeddings are."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(intrinsic, 64)).astype(np.float32)
    second = rng.normal(size=(64, dimension)).astype(np.float32)
    inside = rng.normal(size=(n + queries, intrinsic)).astype(np.float32)
    points = np.tanh(inside @ first * 0.35) @ second
    points += rng.normal(size=points.shape).astype(np.float32) * 0.1
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return with_answers(f"unit-{n}x{dimension}", points[:n].copy(), points[n:].copy())


def sentences(n: int, *, queries: int = 1000) -> VectorSet:
    """Return MiniLM's vectors of the first n sentences of `benchmarks.vector.sentences`; the last are the queries.

    Errors: ValueError where n is more than there are.
    """
    vectors = stored_sentences()[1]
    if n > len(vectors) - queries:
        raise ValueError(f"the set has {len(vectors) - queries} sentences, {n} are wanted")
    return with_answers(f"sentences-{n}x{vectors.shape[1]}", vectors[:n].copy(), vectors[-queries:].copy())


def with_answers(name: str, rows: NDArray[np.float32], queries: NDArray[np.float32], k: int = 10) -> VectorSet:
    """Return a set with each query's k nearest rows by squared Euclidean distance, found exactly."""
    return VectorSet(name, rows, queries, nearest_of(rows, queries, k))


def nearest_of(rows: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return each query's k nearest rows (q, k), nearest first, by comparing with every row."""
    squares = np.einsum("ij,ij->i", rows, rows)
    nearest = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), 100):
        distances = squares - 2 * (queries[start : start + 100] @ rows.T)
        some = np.argpartition(distances, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(distances, some, axis=1), axis=1)
        nearest[start : start + 100] = np.take_along_axis(some, order, axis=1)
    return nearest


def local_intrinsic_dimension(found: VectorSet, k: int = 100, sample: int = 200) -> float:
    """Return the maximum-likelihood estimate (Levina and Bickel, 2004), averaged over some rows."""
    squares = np.einsum("ij,ij->i", found.rows, found.rows)
    estimates: list[float] = []
    for start in range(0, min(sample, len(found.rows)), 50):
        some = slice(start, min(start + 50, sample))
        distances = squares - 2 * (found.rows[some] @ found.rows.T) + squares[some, None]
        near = np.sort(np.partition(distances, k, axis=1)[:, : k + 1], axis=1)[:, 1:]
        roots = np.sqrt(np.maximum(near, 1e-12))
        estimates += (1 / np.log(roots[:, -1:] / roots[:, :-1]).mean(axis=1)).tolist()
    return float(np.mean(estimates))


def recall(found: NDArray[np.integer], nearest: NDArray[np.int64]) -> float:
    """Return the share of the exact answers that were found."""
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, nearest, strict=True))
    return hits / nearest.size
