"""Runs a search on one version: filters per part, prefetches first, then the query over all parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hekla.base.errors import InputError, NotFoundError, nearest_name, quoted
from hekla.vector import bitmap
from hekla.vector.batch import checked_sparse, read_vector
from hekla.vector.dense import DEFAULT_EF, exact_ranks, graph_of, nearest_in
from hekla.vector.errors import PointError
from hekla.vector.filters import Filter, check_filter
from hekla.vector.fusion import fused
from hekla.vector.hits import Hits, best_of, hits_in, joined
from hekla.vector.near import Allowed, check_limit, near_in, until_of
from hekla.vector.payload.part_fields import indexes_of, select
from hekla.vector.point import PointId, SparseVector, read_id
from hekla.vector.queries import (
    Discover,
    Diverse,
    Example,
    Formula,
    Fusion,
    Nearest,
    OrderBy,
    Recommend,
    Sample,
    Search,
    Words,
)
from hekla.vector.ranks import rank_of_score, score_of
from hekla.vector.records import vector_at
from hekla.vector.rows import AnyArray, ids_of
from hekla.vector.scoring import best_by_dimensions, best_by_words
from hekla.vector.version import Version

MAX_PREFETCH_DEPTH = 8
_OVERSAMPLE = 8  # candidates for each point wanted, where a score is no distance from one query


@dataclass(frozen=True, slots=True)
class Found:
    """What a search gave: hits, best first, and the scores callers see."""

    hits: Hits
    scores: AnyArray


def run(version: Version, search: Search, where: str = "$") -> Found:
    """Return what a search finds. Errors: PointError, InputError and NotFoundError naming the place."""
    hits = _hits(version, search, where, until_of(search.deadline_s))
    hits = hits.page(search.offset, search.limit)
    return Found(hits, _scores(version, search, hits))


def _hits(version: Version, search: Search, where: str, until: float | None) -> Hits:
    check_limit(search.limit, search.offset, f"{where}.limit")
    if search.prefetch and where.count(".prefetch[") >= MAX_PREFETCH_DEPTH:
        raise InputError(f"prefetches are over {MAX_PREFETCH_DEPTH} deep", where=f"{where}.prefetch")
    allowed = allowed_rows(version, search.filter, f"{where}.filter")
    if search.prefetch:
        lists = [
            _above(version, each, _hits(version, _filtered(each, search.filter), place, until))
            for i, each in enumerate(search.prefetch)
            for place in [f"{where}.prefetch[{i}]"]
        ]
        if isinstance(search.query, Fusion):
            return _above(version, search, fused(lists, search.query, search.limit + search.offset))
        if isinstance(search.query, Formula):
            return _above(version, search, _rescored(version, search, search.query, lists, f"{where}.query", until))
        allowed = _only(version, lists)
    elif isinstance(search.query, Fusion | Formula):
        raise InputError("fusions and formulas join prefetches, and there are none", where=f"{where}.prefetch")
    return _above(version, search, _Run(version, search, allowed, f"{where}.query", until).hits())


def allowed_rows(version: Version, filter_: Filter | None, where: str) -> Allowed:
    """Return the rows of each part that a filter holds for; None for all of its live rows. Errors: PointError."""
    if filter_ is None:
        return [None] * len(version.parts)
    check_filter(filter_, where)
    return [select(part, filter_, version.schema) if part.live else None for part in version.parts]


def _filtered(search: Search, filter_: Filter | None) -> Search:
    """Return the search under one more filter."""
    if filter_ is None:
        return search
    return replace(search, filter=Filter(must=(search.filter, filter_)) if search.filter else filter_)


def _only(version: Version, lists: Sequence[Hits]) -> Allowed:
    rows: list[list[AnyArray]] = [[] for _ in version.parts]
    for hits in lists:
        for number in range(len(version.parts)):
            rows[number].append(hits.row[hits.part == number])
    each = zip(version.parts, rows, strict=True)
    return [bitmap.of_rows(np.concatenate(found), len(part.rows)) for part, found in each]


def _rescored(
    version: Version, search: Search, query: Formula, lists: Sequence[Hits], where: str, until: float | None
) -> Hits:
    from hekla.vector.formula import rescored  # few searches have a formula

    scores = [_scores(version, each, hits) for each, hits in zip(search.prefetch, lists, strict=True)]
    return rescored(version, lists, scores, query, search.limit + search.offset, where, until)


def _metric_query(search: Search) -> Nearest | Diverse | Recommend | None:
    """Return the query if its scores are those of a metric."""
    query = search.query
    if isinstance(query, Nearest | Diverse) or (isinstance(query, Recommend) and query.strategy == "average"):
        return query
    return None


def _scores(version: Version, search: Search, hits: Hits) -> AnyArray:
    query = _metric_query(search)
    if query is not None and query.using in version.schema.vectors:
        vector = version.schema.vectors[query.using]
        return score_of(vector.metric, hits.rank, is_multi=vector.is_multi)
    return hits.rank if isinstance(search.query, OrderBy) and not search.query.is_descending else -hits.rank


def _above(version: Version, search: Search, hits: Hits) -> Hits:
    """Return the hits whose score passes the threshold."""
    if search.score_threshold is None:
        return hits
    query = _metric_query(search)
    if query is not None and query.using in version.schema.vectors:
        vector = version.schema.vectors[query.using]
        worst = rank_of_score(vector.metric, search.score_threshold, is_multi=vector.is_multi)
    else:
        worst = -search.score_threshold
    return hits.take(hits.rank <= np.float32(worst))


class _Run:
    """One query over all parts."""

    def __init__(self, version: Version, search: Search, allowed: Allowed, where: str, until: float | None) -> None:
        self._version, self._search, self._allowed, self._where = version, search, allowed, where
        self._until = until
        self._limit = search.limit + search.offset

    def hits(self) -> Hits:
        """Return the best hits, best first."""
        query = self._search.query
        if isinstance(query, Nearest):
            return self._nearest(query)
        if isinstance(query, Diverse):
            return self._diverse(query)
        if isinstance(query, Words):
            return self._words(query)
        if isinstance(query, Recommend):
            return self._recommended(query)
        if isinstance(query, Discover):
            return self._discovered(query)
        if isinstance(query, OrderBy):
            return self._ordered(query)
        assert isinstance(query, Sample), "fusions and formulas are done before"
        return self._sampled(query)

    def _nearest(self, query: Nearest) -> Hits:
        if isinstance(query.vector, PointId):
            self._forget(self._ids([query.vector]))
        if query.using in self._version.schema.sparse:
            sparse = self._sparse(query)
            return best_by_dimensions(self._version, query.using, sparse, self._allowed, self._limit)
        return self._near(self._dense(query.vector, query.using, f"{self._where}.vector"), query.using, self._limit)

    def _diverse(self, query: Diverse) -> Hits:
        from hekla.vector.mmr import MAX_CANDIDATES, diversified  # few searches ask for it

        wanted = self._limit if query.candidates is None else query.candidates
        for name, value, most in (("diversity", query.diversity, 1), ("candidates", wanted, MAX_CANDIDATES)):
            if not 0 <= value <= most:
                raise InputError(f"must be 0 to {most}, got {value}", where=f"{self._where}.{name}")
        limit, self._limit = self._limit, max(wanted, 1)
        candidates = _above(self._version, self._search, self._nearest(Nearest(query.vector, query.using)))
        return diversified(self._version, candidates, query.using, query.diversity, limit, self._until)

    def _near(self, vector: AnyArray, using: str, limit: int) -> Hits:
        search, version = self._search, self._version
        is_exact = search.is_exact or bool(search.prefetch)
        near = near_in(version, using)
        if near is not None:
            return near.hits(
                vector[0], limit, ef=search.ef, allowed=self._allowed, until=self._until, is_exact=is_exact,
                where=self._where,
            )  # fmt: skip
        each = [
            nearest_in(i, part, using, vector, limit, schema=version.schema, allowed=self._allowed[i])
            for i, part in enumerate(version.parts)
            if part.live
        ]
        best = best_of(each, limit)
        return best.take(np.isfinite(best.rank))

    def _sparse(self, query: Nearest) -> SparseVector:
        value = query.vector
        if isinstance(value, PointId):
            found = self._of_point(value, query.using)
            assert isinstance(found, SparseVector), "a sparse column gives sparse vectors"
            return found
        if not isinstance(value, SparseVector):
            raise PointError("expected a sparse vector: indices and values", where=f"{self._where}.vector")
        return checked_sparse(value, f"{self._where}.vector")

    def _dense(self, value: Example, using: str, where: str) -> AnyArray:
        """Return an example's vectors (m, row_shape) in the stored form."""
        vector = self._version.schema.vectors.get(using)
        if vector is None:
            known = nearest_name(using, {*self._version.schema.vectors, *self._version.schema.sparse})
            raise PointError(f"no vector is named {quoted(using)}", where=self._where, cure=known)
        given = self._of_point(value, using) if isinstance(value, PointId) else value
        if isinstance(given, SparseVector):
            raise PointError(f"vector {quoted(using)} is dense, and this is sparse", where=where)
        return read_vector(vector, given, where)

    def _of_point(self, id_: PointId, using: str) -> "AnyArray | SparseVector":
        """Return a point's own vector. Errors: NotFoundError."""
        ids = ids_of([read_id(id_, self._where)])
        for part in self._version.parts:
            row = int(part.find(ids)[0]) if part.live else -1
            if row >= 0:
                vector = vector_at(part.rows, row, using, self._version.schema)
                if vector is not None:
                    return vector if isinstance(vector, SparseVector) else np.asarray(vector)
        raise NotFoundError(f"no point {id_} with vector {quoted(using)}", where=self._where)

    def _ids(self, examples: Sequence[Example]) -> list[PointId]:
        return [read_id(example, self._where) for example in examples if isinstance(example, PointId)]

    def _forget(self, ids: Sequence[PointId]) -> None:
        """Keep points that are examples from being found."""
        if ids:
            found = [part.find(ids_of(ids)) for part in self._version.parts]
            for number, (part, rows) in enumerate(zip(self._version.parts, found, strict=True)):
                if (rows >= 0).any():
                    gone = bitmap.of_rows(rows[rows >= 0], len(part.rows))
                    allowed = self._allowed[number]
                    self._allowed[number] = ~gone & ~part.deleted if allowed is None else allowed & ~gone

    def _mask(self, number: int) -> AnyArray:
        part, allowed = self._version.parts[number], self._allowed[number]
        live = ~part.deleted if allowed is None else allowed & ~part.deleted
        return bitmap.to_mask(live, len(part.rows))

    def _words(self, query: Words) -> Hits:
        field = self._version.schema.fields.get(query.path)
        if field is None or field.kind != "text":
            cure = "create an index of kind text there"
            raise InputError(f"{quoted(query.path)} has no text index", where=f"{self._where}.path", cure=cure)
        return best_by_words(self._version, query.path, query.text, self._allowed, self._limit)

    def _recommended(self, query: Recommend) -> Hits:
        if not query.positive and (query.strategy == "average" or not query.negative):
            raise InputError("at least one positive example is needed", where=f"{self._where}.positive")
        read = self._as_given if query.strategy == "average" else self._examples
        positive = read(query.positive, query.using, "positive")
        negative = read(query.negative, query.using, "negative")
        self._forget(self._ids((*query.positive, *query.negative)))
        if query.strategy == "average":
            target = np.mean(positive, axis=0)
            if negative:
                target = 2 * target - np.mean(negative, axis=0)
            vector = self._version.schema.vectors[query.using]
            return self._near(read_vector(vector, target[0], self._where), query.using, self._limit)
        candidates = self._around(positive or negative, query.using)
        likes = self._similarities(candidates, positive, query.using)
        dislikes = self._similarities(candidates, negative, query.using)
        if query.strategy == "sum_scores":
            scores = likes.sum(axis=0) - dislikes.sum(axis=0)
        else:
            best = likes.max(axis=0, initial=-np.inf)
            worst = dislikes.max(axis=0, initial=-np.inf)
            scores = np.where(best > worst, _squashed(best), -_squashed(worst))
        return best_of([replace(candidates, rank=(-scores).astype(np.float64))], self._limit)

    def _discovered(self, query: Discover) -> Hits:
        targets = self._examples([] if query.target is None else [query.target], query.using, "target")
        pairs = [self._examples(pair, query.using, f"context[{i}]") for i, pair in enumerate(query.context)]
        self._forget(self._ids([each for pair in query.context for each in pair]))
        if query.target is not None:
            self._forget(self._ids([query.target]))
        candidates = self._around(targets or [positive for positive, _ in pairs], query.using)
        scores = np.zeros(len(candidates), np.float32)
        for positive, negative in pairs:
            apart = np.subtract(*self._similarities(candidates, [positive, negative], query.using))
            scores += np.sign(apart) if targets else np.minimum(apart, 0)
        if targets:
            scores += _squashed(self._similarities(candidates, targets, query.using)[0])
        return best_of([replace(candidates, rank=(-scores).astype(np.float64))], self._limit)

    def _examples(self, examples: Sequence[Example], using: str, name: str) -> list[AnyArray]:
        return [self._dense(value, using, f"{self._where}.{name}[{i}]") for i, value in enumerate(examples)]

    def _as_given(self, examples: Sequence[Example], using: str, name: str) -> list[AnyArray]:
        """Return examples for an average: a longer vector counts for more, as in the definition clients know."""
        read = zip(examples, self._examples(examples, using, name), strict=True)
        return [
            stored if isinstance(value, PointId) else np.asarray(value, np.float32).reshape(len(stored), -1)
            for value, stored in read
        ]

    def _around(self, examples: Sequence[AnyArray], using: str) -> Hits:
        """Return candidates: all rows where they are few or exactness is asked for, else those near any example."""
        is_small = not any(graph_of(part, using) for part in self._version.parts)
        if is_small or self._search.is_exact or self._search.prefetch:
            masks = [np.flatnonzero(self._mask(number)) for number in range(len(self._version.parts))]
            each = [hits_in(number, rows, np.zeros(len(rows))) for number, rows in enumerate(masks)]
            return joined(each)
        wanted = max(_OVERSAMPLE * self._limit, self._search.ef or DEFAULT_EF)
        near = joined([self._near(example, using, wanted) for example in examples])
        return near.take(np.unique(near.keys(), return_index=True)[1])

    def _similarities(self, hits: Hits, examples: Sequence[AnyArray], using: str) -> AnyArray:
        """Return how like each hit is to each example: (examples, hits), minus the distance; of cosine, the cosine."""
        vector = self._version.schema.vectors[using]
        zero = 1.0 if vector.metric == "cosine" and not vector.is_multi else 0.0
        like = np.zeros((len(examples), len(hits)), np.float32)
        for number, part in enumerate(self._version.parts):
            here = np.flatnonzero(hits.part == number)
            for i, example in enumerate(examples):
                if len(here):
                    like[i, here] = zero - exact_ranks(part, using, example, hits.row[here], self._version.schema)
        return like

    def _ordered(self, query: OrderBy) -> Hits:
        field = self._version.schema.fields.get(query.path)
        if field is None or field.kind not in ("integer", "float", "datetime"):
            cure = "create an index of kind integer, float or datetime there"
            raise InputError(f"{quoted(query.path)} cannot be ordered by", where=f"{self._where}.path", cure=cure)
        sign = -1.0 if query.is_descending else 1.0
        each = []
        for number, part in enumerate(self._version.parts):
            mask = self._mask(number)
            numbers, of_rows = indexes_of(part, self._version.schema)[query.path].numbers()
            values, kept = numbers.astype(np.float64), mask[of_rows]
            if query.start_from is not None:
                kept &= sign * values >= sign * query.start_from
            each.append(hits_in(number, of_rows[kept], sign * values[kept]))
        return best_of(each, self._limit)

    def _sampled(self, query: Sample) -> Hits:
        masks = [np.flatnonzero(self._mask(number)) for number in range(len(self._version.parts))]
        everything = joined([hits_in(number, rows, np.zeros(len(rows))) for number, rows in enumerate(masks)])
        drawn = np.random.default_rng(query.seed).permutation(len(everything))[: self._limit]
        return everything.take(drawn)


def _squashed(similarity: AnyArray) -> AnyArray:
    """Return x / (1 + |x|) brought to 0..1: keeps the order, loses the scale."""
    between: AnyArray = 0.5 * (similarity / (1 + np.abs(similarity)) + 1)
    return between
