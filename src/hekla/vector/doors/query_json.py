"""Searches as `qdrant-client` writes them, to searches of ours and back."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from hekla.base.errors import InputError, UnsupportedError, nearest_name, quoted
from hekla.vector.doors.filter_json import moment_text, path_of, read_filter
from hekla.vector.doors.formula_json import read_formula
from hekla.vector.doors.inference import Inference
from hekla.vector.doors.json_fields import Fields, Json
from hekla.vector.doors.point_json import read_example, read_examples
from hekla.vector.filters import moment
from hekla.vector.point import PointId, Vector
from hekla.vector.queries import (
    Discover,
    Diverse,
    Example,
    Fusion,
    FusionKind,
    Nearest,
    OrderBy,
    Query,
    Recommend,
    Sample,
    Search,
    Strategy,
    Words,
)

Lookup = Callable[[str, PointId, str], Vector]  # (collection, id, vector name) -> that point's vector
_RRF_K = 2.0  # Qdrant's; ours is 60
_STRATEGIES: dict[str, Strategy] = {
    "average_vector": "average",
    "best_score": "best_score",
    "sum_scores": "sum_scores",
}
_MAX_PREFETCHES, _MAX_PREFETCH_DEPTH = 64, 8


class QueryReader:
    """Reads the searches of one request. `lookup` fetches vectors of other collections."""

    def __init__(self, inference: Inference, lookup: Lookup) -> None:
        self._inference, self._lookup = inference, lookup

    def search(self, fields: Fields, *, has_offset: bool = True, deadline_s: float | None = None) -> Search | None:
        """Return a search; None where no query is named: points in the order of their ids. Does not call `end`."""
        prefetch = self._prefetches(fields, 1)
        query = self.query(fields)
        params = self._params(fields)
        if query is None and prefetch:
            raise InputError("prefetches need a query that chooses of them", where=fields.place("query"))
        limit = fields.whole("limit", 10, 1)
        offset = fields.whole("offset", 0) if has_offset else 0
        filter_ = read_filter(fields.get("filter"), fields.place("filter"))
        threshold = fields.number("score_threshold")
        own_s = fields.number("deadline_s")
        fields.ignore("shard_key")
        if query is None:
            return None
        return Search(query, limit, offset, filter_, prefetch, threshold, *params, sooner(deadline_s, own_s))

    def _prefetches(self, fields: Fields, depth: int) -> tuple[Search, ...]:
        given = fields.get("prefetch")
        if given is None:
            return ()
        if depth > _MAX_PREFETCH_DEPTH:
            raise InputError(f"prefetches are over {_MAX_PREFETCH_DEPTH} deep", where=fields.place("prefetch"))
        one = given if isinstance(given, list) else [given]
        if len(one) > _MAX_PREFETCHES:
            raise InputError(f"has {len(one)} prefetches, the limit is {_MAX_PREFETCHES}", where=fields.where)
        return tuple(self._prefetch(Fields(each, f"{fields.where}.prefetch[{i}]"), depth) for i, each in enumerate(one))

    def _prefetch(self, fields: Fields, depth: int) -> Search:
        prefetch = self._prefetches(fields, depth + 1)
        query = self.query(fields)
        if query is None:
            raise UnsupportedError("a prefetch without a query is not supported", where=fields.place("query"))
        params = self._params(fields)
        limit = fields.whole("limit", 10, 1)
        filter_ = read_filter(fields.get("filter"), fields.place("filter"))
        threshold = fields.number("score_threshold")
        fields.end()
        return Search(query, limit, 0, filter_, prefetch, threshold, *params)

    def _params(self, fields: Fields) -> tuple[int | None, bool]:
        params = fields.inner("params")
        if params is None:
            return None, False
        params.ignore("quantization", "indexed_only", "acorn")
        params.refuse("idf")
        ef = params.whole("hnsw_ef", 0) or None
        is_exact = params.flag("exact")
        params.end()
        return ef, is_exact

    def example(self, value: Json, where: str) -> Example:
        """Return a vector, an id, or the vector of a text."""
        return read_example(value, self._inference, where)

    def query(self, fields: Fields) -> Query | None:
        """Return what `query`, `using` and `lookup_from` ask for, None where no query is named."""
        using = fields.text("using") or ""
        given = fields.get("query")
        where = fields.place("query")
        place = fields.inner("lookup_from")
        if given is None:
            return None
        kinds: dict[str, Callable[[Fields, str], Query]] = {
            "nearest": self._nearest,
            "recommend": self._recommend,
            "discover": self._discover,
            "context": self._context,
            "order_by": _order_by,
            "fusion": _fusion,
            "formula": lambda inner, _: read_formula(inner),
            "rrf": _rrf,
            "sample": _sample,
            "words": _words,
        }
        kind = next((name for name in kinds if isinstance(given, dict) and name in given), None)
        if kind is None:
            if isinstance(given, dict) and not given.keys() & {"text", "indices", "values"}:
                name = next(iter(given), "")
                if name == "relevance_feedback":
                    raise UnsupportedError("is not supported here", where=f"{where}.{name}")
                raise InputError(f"unknown query {quoted(name)}", where=where, cure=nearest_name(name, kinds))
            query: Query = Nearest(read_example(given, self._inference, where), using)
        else:
            inner = Fields(given, where)
            query = kinds[kind](inner, using)
            inner.end()
        return query if place is None else self._looked_up(query, place)

    def _nearest(self, fields: Fields, using: str) -> Nearest | Diverse:
        example = read_example(fields.need("nearest"), self._inference, fields.place("nearest"))
        mmr = fields.inner("mmr")
        if mmr is None:
            return Nearest(example, using)
        diversity, candidates = mmr.number("diversity"), mmr.get("candidates_limit")
        found = Diverse(example, using, 0.5 if diversity is None else diversity, mmr.whole("candidates_limit", 0))
        mmr.end()
        return found if candidates is not None else replace(found, candidates=None)

    def _recommend(self, fields: Fields, using: str) -> Recommend:
        inner = Fields(fields.need("recommend"), fields.place("recommend"))
        found = self.recommend(inner, using)
        inner.end()
        return found

    def recommend(self, fields: Fields, using: str) -> Recommend:
        """Return a recommendation of `positive`, `negative` and `strategy`."""
        strategy = fields.text("strategy") or "average_vector"
        if strategy not in _STRATEGIES:
            cure = nearest_name(strategy, _STRATEGIES)
            raise InputError(f"unknown strategy {quoted(strategy)}", where=fields.place("strategy"), cure=cure)
        positive = read_examples(fields.items("positive"), self._inference, fields.place("positive"))
        negative = read_examples(fields.items("negative"), self._inference, fields.place("negative"))
        return Recommend(positive, negative, _STRATEGIES[strategy], using)

    def _discover(self, fields: Fields, using: str) -> Discover:
        inner = Fields(fields.need("discover"), fields.place("discover"))
        target = read_example(inner.need("target"), self._inference, inner.place("target"))
        found = Discover(target, self._pairs(inner), using)
        inner.end()
        return found

    def _context(self, fields: Fields, using: str) -> Discover:
        return Discover(None, self._pairs(fields), using)

    def discover(self, fields: Fields, using: str) -> Discover:
        """Return a discovery of `target` and `context`, either of which may be missing."""
        target = fields.get("target")
        example = None if target is None else read_example(target, self._inference, fields.place("target"))
        return Discover(example, self._pairs(fields), using)

    def _pairs(self, fields: Fields) -> tuple[tuple[Example, Example], ...]:
        given = fields.get("context")
        pairs: list[tuple[Example, Example]] = []
        for i, value in enumerate(given if isinstance(given, list) else [] if given is None else [given]):
            pair = Fields(value, f"{fields.place('context')}[{i}]")
            sides = [read_example(pair.need(s), self._inference, pair.place(s)) for s in ("positive", "negative")]
            pair.end()
            pairs.append((sides[0], sides[1]))
        return tuple(pairs)

    def _looked_up(self, query: Query, place: Fields) -> Query:
        """Return the query with ids replaced by vectors of another collection's points."""
        collection = place.need_text("collection")
        name = place.text("vector")
        place.ignore("shard_key")
        place.end()

        def fetched(example: Example, using: str) -> Example:
            if not isinstance(example, PointId):
                return example
            return self._lookup(collection, example, using if name is None else name)

        if isinstance(query, Nearest | Diverse):
            return replace(query, vector=fetched(query.vector, query.using))
        if isinstance(query, Recommend):
            positive = tuple(fetched(each, query.using) for each in query.positive)
            negative = tuple(fetched(each, query.using) for each in query.negative)
            return Recommend(positive, negative, query.strategy, query.using)
        if isinstance(query, Discover):
            target = None if query.target is None else fetched(query.target, query.using)
            context = tuple((fetched(p, query.using), fetched(n, query.using)) for p, n in query.context)
            return Discover(target, context, query.using)
        raise InputError("goes with queries that name points", where=place.where)


def sooner(one_s: float | None, other_s: float | None) -> float | None:
    """Return the shorter of two times, none of which need be there."""
    given = [max(0.0, each) for each in (one_s, other_s) if each is not None]
    return min(given) if given else None


def read_order(value: Json, where: str) -> OrderBy:
    """Return an order: a path, or `key`, `direction` and `start_from`."""
    if isinstance(value, str):
        return OrderBy(value)
    fields = Fields(value, where)
    path = path_of(fields, "key")
    direction = fields.text("direction") or "asc"
    if direction not in ("asc", "desc"):
        raise InputError(f"expected asc or desc, got {quoted(direction)}", where=fields.place("direction"))
    start = fields.get("start_from")
    since = moment(start, fields.place("start_from")) if isinstance(start, str) else fields.number("start_from")
    fields.end()
    return OrderBy(path, direction == "desc", since)


def _order_by(fields: Fields, using: str) -> OrderBy:
    return read_order(fields.need("order_by"), fields.place("order_by"))


_FUSIONS: Mapping[str, FusionKind] = {"rrf": "rrf", "dbsf": "distribution", "weighted": "weighted"}


def _fusion(fields: Fields, using: str) -> Fusion:
    """A fusion; the kind `weighted`, and weights, are of ours."""
    kind = fields.need_text("fusion")
    if kind not in _FUSIONS:
        raise InputError(f"expected rrf or dbsf, got {quoted(kind)}", where=fields.place("fusion"))
    return (
        Fusion(_FUSIONS[kind], _weights(fields), _RRF_K) if kind == "rrf" else Fusion(_FUSIONS[kind], _weights(fields))
    )


def _rrf(fields: Fields, using: str) -> Fusion:
    inner = Fields(fields.need("rrf"), fields.place("rrf"))
    weights, k = _weights(inner), inner.number("k")
    inner.end()
    if k is not None and k <= 0:
        raise InputError(f"must be above 0, got {k}", where=inner.place("k"))
    return Fusion("rrf", weights, _RRF_K if k is None else k)


def _weights(fields: Fields) -> tuple[float, ...]:
    weights = fields.items("weights") or []
    for i, weight in enumerate(weights):
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise InputError(f"expected a number, got {quoted(weight)}", where=f"{fields.place('weights')}[{i}]")
    return tuple(weights)


def _sample(fields: Fields, using: str) -> Sample:
    if fields.need_text("sample") != "random":
        raise InputError("expected random", where=fields.place("sample"))
    return Sample(fields.whole("seed", 0))


def _words(fields: Fields, using: str) -> Words:
    """Words by BM25: of ours, no other server has it."""
    return Words(fields.need_text("words"), fields.need_text("path"))


def order_value_json(value: float, *, is_datetime: bool) -> Json:
    """Return `order_value` of a point."""
    return moment_text(value) if is_datetime else value
