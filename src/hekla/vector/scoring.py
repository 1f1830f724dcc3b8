"""The best rows by terms: BM25 of words, dot products of sparse vectors. Rows without any are not read."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.flat_search import rows_of, scores_of
from hekla.kernels.term_scores import best_of_dimensions, best_of_words
from hekla.vector import bitmap
from hekla.vector.hits import NO_HITS, Hits, best_of, hits_in
from hekla.vector.payload.part_fields import indexes_of
from hekla.vector.payload.payload_index import WordRows
from hekla.vector.payload.words import words_by
from hekla.vector.point import SparseVector
from hekla.vector.rows import AnyArray
from hekla.vector.sparse_index import having, rows_with
from hekla.vector.version import Part, Version

K1, B = 1.2, 0.75  # Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009
_FEW = 256  # as many are kept in order while rows are scored; of more, all are sorted at the end
_NO_LENGTHS = np.zeros(0, np.uint32)
Allowed = Sequence[bitmap.Words | None]  # for each part; None: all of its live rows


def best_by_words(version: Version, path: str, text: str, allowed: Allowed, limit: int) -> Hits:
    """Return the live rows with the greatest BM25 scores, best first, of those that have any of the words.

    What BM25 needs to know of all texts together counts deleted ones too, until their segment is merged.
    """
    terms = list(dict.fromkeys(words_by(version.schema.fields[path].text)(text)))
    each = [
        indexes_of(part, version.schema)[path].word_rows(terms) if part.live and terms else None
        for part in version.parts
    ]
    found = [words for words in each if words is not None]
    texts = sum(words.texts for words in found)
    if not texts:
        return NO_HITS
    mean = sum(words.total for words in found) / texts
    factors = np.array([(K1 + 1) * _rarity(texts, n) for n in _having(found)], np.float32)
    least, slope = K1 * (1 - B), K1 * B / mean
    hits = []
    for number, (part, words) in enumerate(zip(version.parts, each, strict=True)):
        if words is not None:
            columns = (words.rows, words.counts, words.starts, words.ends, factors, words.lengths)
            hits.append(_best(best_of_words, number, part, columns, allowed[number], limit, least, slope))
    return hits[0] if len(hits) == 1 else best_of(hits, limit)


def best_by_dimensions(version: Version, name: str, query: SparseVector, allowed: Allowed, limit: int) -> Hits:
    """Return the live rows with the greatest dot products with a sparse query, best first, of those above 0."""
    each = [rows_with(part, name, query.indices) for part in version.parts]
    factors = query.values.astype(np.float32, copy=False)
    if version.schema.sparse[name].is_idf:
        rows = sum(len(part.rows) for part in version.parts)
        rare = [_rarity(rows, n) for n in having(each, len(query.indices)).tolist()]
        factors = factors * np.array(rare, np.float32)
    hits = []
    for number, (part, found) in enumerate(zip(version.parts, each, strict=True)):
        columns = (found.rows, found.weights, found.starts, found.ends, factors, _NO_LENGTHS)
        hits.append(_best(best_of_dimensions, number, part, columns, allowed[number], limit, 0.0, 0.0))
    return hits[0] if len(hits) == 1 else best_of(hits, limit)


def _having(found: Sequence[WordRows]) -> list[int]:
    """Return how many rows of all parts have each term."""
    total = found[0].ends - found[0].starts
    for more in found[1:]:
        total = total + (more.ends - more.starts)
    counts: list[int] = total.tolist()
    return counts


def _rarity(rows: int, with_it: int) -> float:
    return math.log(1 + (rows - with_it + 0.5) / (with_it + 0.5))


def _best(
    kernel: Callable[..., int],
    number: int,
    part: Part,
    columns: tuple[AnyArray, ...],
    allowed: bitmap.Words | None,
    limit: int,
    least: float,
    slope: float,
) -> Hits:
    """Return one part's best rows, best first. columns: rows, weights, starts, ends, factors, lengths."""
    rows, weights, starts, ends, factors, lengths = columns
    pairs = int((ends - starts).sum())
    if pairs <= 0:
        return NO_HITS
    n = len(part.rows)
    if len(weights) != len(rows) or (kernel is best_of_words and len(lengths) != n):
        raise IndexError("columns of an index are not of the same length")
    is_all = limit > _FEW
    best: NDArray[np.uint64] = np.empty(pairs if is_all else min(limit, pairs), np.uint64)
    dead = part.deleted if part.live < n and allowed is None else _NO_WORDS
    of_allowed = _NO_WORDS if allowed is None else allowed
    places = np.empty(len(starts), np.int64)
    count = kernel(
        rows, weights, starts, ends, factors, lengths, of_allowed, dead, n, least, slope, places, best, is_all
    )
    if count < 0:
        raise IndexError("an index names a row past the end of its segment")
    keys = best[:count]
    if is_all:
        keys.sort()
        keys = keys[:limit]
    return hits_in(number, rows_of(keys), scores_of(keys, 1.0))


_NO_WORDS = np.zeros(0, np.uint64)
