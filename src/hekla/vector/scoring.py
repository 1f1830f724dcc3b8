"""Scores by terms: BM25 of words, dot products of sparse vectors. Both add up postings of the terms in the query."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hekla.vector.payload.part_fields import indexes_of
from hekla.vector.payload.payload_index import WordRows
from hekla.vector.payload.words import words_by
from hekla.vector.point import SparseVector
from hekla.vector.rows import AnyArray, Rows, Sparse
from hekla.vector.segment import Segment
from hekla.vector.version import Part, Version

F32 = NDArray[np.float32]
K1, B = 1.2, 0.75  # Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009


@dataclass(frozen=True, slots=True)
class _Corpus:
    """What BM25 needs to know of all texts together, deleted ones included until their segment is merged."""

    texts: int
    mean_words: float
    having: Sequence[int]  # texts with each term


def bm25(version: Version, path: str, text: str) -> list[F32]:
    """Return for each part the BM25 score of every row, 0 for rows without any of the words."""
    field = version.schema.fields[path]
    terms = list(dict.fromkeys(words_by(field.text)(text)))
    each = [indexes_of(part, version.schema)[path].word_rows(terms) for part in version.parts]
    corpus = _corpus(each, len(terms))
    return [_part_scores(found, corpus) for found in each]


def _corpus(each: Sequence[WordRows], terms: int) -> _Corpus:
    texts, words = sum(found.texts for found in each), sum(found.total for found in each)
    having = np.sum([found.ends - found.starts for found in each], axis=0) if each else np.zeros(terms, np.int64)
    return _Corpus(texts, words / texts if texts else 1.0, having.tolist())


def _part_scores(found: WordRows, corpus: _Corpus) -> F32:
    scores = np.zeros(len(found.lengths), np.float32)
    for start, end, having in zip(found.starts.tolist(), found.ends.tolist(), corpus.having, strict=True):
        rows = found.rows[start:end]
        rarity = math.log(1 + (corpus.texts - having + 0.5) / (having + 0.5))
        counts = found.counts[start:end].astype(np.float32)
        norm = K1 * (1 - B + B * found.lengths[rows] / corpus.mean_words)
        scores[rows] += rarity * counts * (K1 + 1) / (counts + norm)  # a term names a row once
    return scores


def sparse_sections(rows: Rows) -> dict[str, AnyArray]:
    """Return what finds rows by dimension, for each sparse vector of a segment.

    `sparse.NAME.dimensions` (t,) u32 rising, `sparse.NAME.rows.offsets` (t + 1,) u64, `sparse.NAME.rows` (m,) u32 and
    `sparse.NAME.weights` (m,) f32 beside.
    """
    sections: dict[str, AnyArray] = {}
    for name, column in rows.sparse.items():
        owner = np.repeat(np.arange(len(rows), dtype=np.uint32), np.diff(column.offsets).astype(np.int64))
        order = np.argsort(column.indices, kind="stable")
        dimensions, starts = np.unique(column.indices[order], return_index=True)
        sections[f"sparse.{name}.dimensions"] = dimensions
        sections[f"sparse.{name}.rows.offsets"] = np.append(starts, len(order)).astype(np.uint64)
        sections[f"sparse.{name}.rows"] = owner[order]
        sections[f"sparse.{name}.weights"] = column.values[order]
    return sections


def sparse_dot(version: Version, name: str, query: SparseVector) -> list[F32]:
    """Return for each part the dot product of every row with a sparse query, 0 for rows that share no dimension."""
    weights = query.values
    if version.schema.sparse[name].is_idf:
        weights = weights * _rarity(version, name, query)
    return [_part_dot(part, name, query.indices, weights) for part in version.parts]


def _rarity(version: Version, name: str, query: SparseVector) -> F32:
    """Return log(1 + (n - having + 0.5) / (having + 0.5)) of each dimension."""
    having = np.zeros(len(query.indices), np.int64)
    rows = 0
    for part in version.parts:
        rows += len(part.rows)
        for i, dimension in enumerate(query.indices.tolist()):
            span = _dimension(part, name, dimension)
            having[i] += span.stop - span.start if span is not None else _count(part.rows.sparse[name], dimension)
    rarity: F32 = np.log(1 + (rows - having + 0.5) / (having + 0.5)).astype(np.float32)
    return rarity


def _part_dot(part: Part, name: str, dimensions: NDArray[np.uint32], weights: F32) -> F32:
    scores = np.zeros(len(part.rows), np.float32)
    if isinstance(part.source, Segment):
        sections = part.source.sections
        for dimension, weight in zip(dimensions.tolist(), weights.tolist(), strict=True):
            span = _dimension(part, name, dimension) or slice(0, 0)
            scores[sections[f"sparse.{name}.rows"][span]] += weight * sections[f"sparse.{name}.weights"][span]
        return scores
    column = part.rows.sparse[name]
    if not len(dimensions) or not len(column.indices):
        return scores
    at = np.minimum(np.searchsorted(dimensions, column.indices), len(dimensions) - 1)
    is_shared = dimensions[at] == column.indices
    owner = np.repeat(np.arange(len(part.rows)), np.diff(column.offsets).astype(np.int64))
    products = column.values[is_shared] * weights[at[is_shared]]
    return np.bincount(owner[is_shared], products, len(part.rows)).astype(np.float32)


def _dimension(part: Part, name: str, dimension: int) -> slice | None:
    """Return where a dimension's rows stand, None for a part in memory."""
    if not isinstance(part.source, Segment):
        return None
    sections = part.source.sections
    dimensions, offsets = sections[f"sparse.{name}.dimensions"], sections[f"sparse.{name}.rows.offsets"]
    at = int(np.searchsorted(dimensions, dimension))
    if at == len(dimensions) or dimensions[at] != dimension:
        return slice(0, 0)
    return slice(int(offsets[at]), int(offsets[at + 1]))


def _count(column: Sparse, dimension: int) -> int:
    return int(np.count_nonzero(column.indices == dimension))
