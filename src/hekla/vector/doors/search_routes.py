"""Routes that find points: query, scroll, count, facet, and the older search, recommend and discover."""

import secrets
from collections.abc import Callable, Sequence

from hekla.base.errors import InputError, UnsupportedError
from hekla.protocols.api import ApiRequest, Route
from hekla.vector.doors.desk import Desk, seconds_left
from hekla.vector.doors.envelope import Told, answering
from hekla.vector.doors.filter_json import path_of, read_filter
from hekla.vector.doors.json_fields import Fields, Json, read_json
from hekla.vector.doors.matrix import Matrix, sampled_matrix
from hekla.vector.doors.point_json import id_json, read_example, read_wanted, record_json, scored_json
from hekla.vector.doors.query_json import QueryReader, order_value_json, read_order
from hekla.vector.doors.scope import Scope
from hekla.vector.payload.field_index import as_moment
from hekla.vector.payload.paths import values_at
from hekla.vector.point import read_id
from hekla.vector.queries import Nearest, OrderBy, Query, Search
from hekla.vector.records import Wanted

_POINTS = "/collections/{name}/points"
INCOMPLETE = (("hekla-complete", "false"),)  # the deadline passed: these are the best until then
_MAX_SEARCHES = 1000  # of one batch
_MAX_SAMPLE = 1000  # points of a matrix, each of which is searched for
Ask = Callable[[ApiRequest, Scope, Fields], Json]


class SearchRoutes:
    """Finding."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def routes(self) -> Sequence[Route]:
        """Every route."""
        rows: list[tuple[str, Ask]] = [
            ("/query", self._query),
            ("/query/groups", self._query_groups),
            ("/scroll", self._scroll),
            ("/count", self._count),
            ("/search/matrix/pairs", lambda request, scope, fields: self._matrix(request, scope, fields).pairs()),
            ("/search/matrix/offsets", lambda request, scope, fields: self._matrix(request, scope, fields).offsets()),
        ]
        old: list[tuple[str, Ask]] = [
            ("/search", self._search),
            ("/recommend", self._recommend),
            ("/discover", self._discover),
        ]
        groups: list[tuple[str, Ask]] = [
            ("/search/groups", self._search_groups),
            ("/recommend/groups", self._recommend_groups),
        ]
        batches: list[tuple[str, Ask]] = [("/query/batch", self._query)]
        batches += [(f"{path}/batch", ask) for path, ask in old]
        routes = [
            Route("POST", _POINTS + path, answering(self._asking(ask)), False, 0) for path, ask in rows + old + groups
        ]
        routes += [Route("POST", _POINTS + path, answering(self._batch(ask)), False, 0) for path, ask in batches]
        routes.append(Route("POST", "/collections/{name}/facet", answering(self._asking(self._facet)), False, 0))
        return routes

    def _asking(self, ask: Ask) -> Callable[[ApiRequest], Json]:
        def handle(request: ApiRequest) -> Json:
            scope = self._desk.scope(request.parameters[0], request.caller)
            fields = Fields(read_json(request.body))
            return ask(request, scope, fields)

        return handle

    def _batch(self, ask: Ask) -> Callable[[ApiRequest], Json]:
        def handle(request: ApiRequest) -> Json:
            scope = self._desk.scope(request.parameters[0], request.caller)
            fields = Fields(read_json(request.body))
            fields.need("searches")
            searches = fields.items("searches") or []
            fields.end()
            if len(searches) > _MAX_SEARCHES:
                raise InputError(f"{len(searches)} searches, the limit is {_MAX_SEARCHES}", where="$.searches")
            answers = [ask(request, scope, Fields(each, f"$.searches[{i}]")) for i, each in enumerate(searches)]
            is_complete = not any(isinstance(answer, Told) for answer in answers)
            results = [answer.result if isinstance(answer, Told) else answer for answer in answers]
            return results if is_complete else Told(results, INCOMPLETE)

        return handle

    def _reader(self, request: ApiRequest) -> QueryReader:
        return QueryReader(
            self._desk.inference(), lambda name, id_, using: self._desk.vector_of(name, request.caller, id_, using)
        )

    def _query(self, request: ApiRequest, scope: Scope, fields: Fields) -> Json:
        search = self._reader(request).search(fields, deadline_s=seconds_left(request))
        wanted = read_wanted(fields, payload=False)
        fields.end()
        if search is None:
            return {"points": self._by_id(scope, fields, wanted)}
        points, is_complete = self._found(scope, search, wanted)
        found = {"points": points}
        return found if is_complete else Told(found, INCOMPLETE)

    def _by_id(self, scope: Scope, fields: Fields, wanted: Wanted) -> list[Json]:
        """Return points in the order of their ids: a query without a query."""
        offset, limit = fields.whole("offset", 0), fields.whole("limit", 10, 1)
        filter_ = scope.filter(read_filter(fields.get("filter"), fields.place("filter")))
        records, _ = scope.collection.scroll(filter_=filter_, limit=offset + limit, wanted=wanted)
        return [{**record_json(record), "version": 0, "score": 0.0} for record in records[offset:]]

    def _found(self, scope: Scope, search: Search, wanted: Wanted) -> tuple[list[Json], bool]:
        if isinstance(search.query, OrderBy):
            return _ordered(scope, search, wanted), True
        found = scope.query(search, wanted)
        return scored_json(found.points, wanted), found.is_complete

    def _query_groups(self, request: ApiRequest, scope: Scope, fields: Fields) -> Json:
        search = self._reader(request).search(fields, has_offset=False, deadline_s=seconds_left(request))
        if search is None:
            raise UnsupportedError("groups need a query", where=fields.place("query"))
        return self._grouped(request, scope, fields, search)

    def _grouped(self, request: ApiRequest, scope: Scope, fields: Fields, search: Search) -> Json:
        groups, size = fields.whole("limit", 10, 1), fields.whole("group_size", 3, 1)
        by = path_of(fields, "group_by")
        lookup = fields.get("with_lookup")
        wanted = read_wanted(fields, payload=False)
        fields.end()
        found = scope.query_groups(search, by, groups=groups, group_size=size, wanted=wanted)
        rows: list[Json] = [{"id": value, "hits": scored_json(points, wanted)} for value, points in found]
        if lookup is not None:
            self._look_up(request, lookup, rows)
        return {"groups": rows}

    def _look_up(self, request: ApiRequest, lookup: Json, rows: list[Json]) -> None:
        """Give each group the point of another collection whose id is the group's value."""
        fields = Fields({"collection": lookup} if isinstance(lookup, str) else lookup, "$.with_lookup")
        other = self._desk.scope(fields.need_text("collection"), request.caller)
        wanted = read_wanted(fields, payload=True)
        fields.end()
        for row in rows:
            found = other.retrieve([read_id(row["id"], "$.group_by")], wanted)
            if found:
                row["lookup"] = record_json(found[0])

    def _scroll(self, request: ApiRequest, scope: Scope, fields: Fields) -> Json:
        fields.ignore("shard_key")
        limit = fields.whole("limit", 10, 1)
        filter_ = read_filter(fields.get("filter"), fields.place("filter"))
        offset, order = fields.get("offset"), fields.get("order_by")
        wanted = read_wanted(fields, payload=True)
        fields.end()
        if order is not None:
            if offset is not None:
                cure = "give order_by.start_from"
                raise InputError("an order has no offset", where=fields.place("offset"), cure=cure)
            by = read_order(order, fields.place("order_by"))
            points = _ordered(scope, Search(by, limit, filter=filter_), wanted)
            for point in points:
                del point["score"], point["version"]
            return {"points": points, "next_page_offset": None}
        after = None if offset is None else read_id(offset, fields.place("offset"))
        narrowed = scope.filter(filter_)
        records, following = scope.collection.scroll(filter_=narrowed, after=after, limit=limit, wanted=wanted)
        next_page = None if following is None else id_json(following)
        return {"points": [record_json(record) for record in records], "next_page_offset": next_page}

    def _count(self, request: ApiRequest, scope: Scope, fields: Fields) -> Json:
        fields.ignore("shard_key", "exact")
        filter_ = read_filter(fields.get("filter"), fields.place("filter"))
        fields.end()
        return {"count": scope.collection.count(scope.filter(filter_))}

    def _facet(self, request: ApiRequest, scope: Scope, fields: Fields) -> Json:
        fields.ignore("shard_key", "exact")
        path, limit = path_of(fields, "key"), fields.whole("limit", 10, 1)
        filter_ = read_filter(fields.get("filter"), fields.place("filter"))
        fields.end()
        counts = scope.collection.facet(path, filter_=scope.filter(filter_), limit=limit)
        return {"hits": [{"value": value, "count": count} for value, count in counts]}

    def _matrix(self, request: ApiRequest, scope: Scope, fields: Fields) -> Matrix:
        fields.ignore("shard_key")
        filter_ = read_filter(fields.get("filter"), fields.place("filter"))
        sample, limit = fields.whole("sample", 10, 2), fields.whole("limit", 3, 1)
        using = fields.text("using") or ""
        fields.end()
        if sample > _MAX_SAMPLE:
            raise InputError(f"must be at most {_MAX_SAMPLE}, got {sample}", where=fields.place("sample"))
        return sampled_matrix(scope, filter_, using=using, sample=sample, limit=limit, seed=secrets.randbits(32))

    # ---- the older forms

    def _search(self, request: ApiRequest, scope: Scope, fields: Fields) -> Json:
        return self._older(request, scope, fields, self._nearest(request, fields))

    def _recommend(self, request: ApiRequest, scope: Scope, fields: Fields) -> Json:
        return self._older(request, scope, fields, self._recommended(request, fields))

    def _discover(self, request: ApiRequest, scope: Scope, fields: Fields) -> Json:
        using = fields.text("using") or ""
        return self._older(request, scope, fields, self._reader(request).discover(fields, using))

    def _search_groups(self, request: ApiRequest, scope: Scope, fields: Fields) -> Json:
        return self._grouped(
            request, scope, fields, self._older_search(request, fields, self._nearest(request, fields))
        )

    def _recommend_groups(self, request: ApiRequest, scope: Scope, fields: Fields) -> Json:
        return self._grouped(
            request, scope, fields, self._older_search(request, fields, self._recommended(request, fields))
        )

    def _nearest(self, request: ApiRequest, fields: Fields) -> Query:
        given, using = fields.need("vector"), ""
        if isinstance(given, dict) and "name" in given:
            named = Fields(given, fields.place("vector"))
            using, given = named.need_text("name"), named.need("vector")
            named.end()
        return Nearest(read_example(given, self._desk.inference(), fields.place("vector")), using)

    def _recommended(self, request: ApiRequest, fields: Fields) -> Query:
        return self._reader(request).recommend(fields, fields.text("using") or "")

    def _older(self, request: ApiRequest, scope: Scope, fields: Fields, query: Query) -> Json:
        search = self._older_search(request, fields, query, fields.whole("offset", 0))
        wanted = read_wanted(fields, payload=False)
        fields.end()
        points, is_complete = self._found(scope, search, wanted)
        return points if is_complete else Told(points, INCOMPLETE)

    def _older_search(self, request: ApiRequest, fields: Fields, query: Query, offset: int = 0) -> Search:
        fields.refuse("lookup_from")
        fields.ignore("shard_key")
        params = fields.inner("params") or Fields({})
        params.ignore("quantization", "indexed_only", "acorn")
        search = Search(
            query,
            fields.whole("limit", 10, 1),
            offset,
            read_filter(fields.get("filter"), fields.place("filter")),
            score_threshold=fields.number("score_threshold"),
            ef=params.whole("hnsw_ef", 0) or None,
            is_exact=params.flag("exact"),
            deadline_s=seconds_left(request),
        )
        params.end()
        return search


def _ordered(scope: Scope, search: Search, wanted: Wanted) -> list[Json]:
    """Return points in the order of a field, each with its `order_value`."""
    by = search.query
    assert isinstance(by, OrderBy)
    points = scope.query(search, Wanted()).points
    ids = [point.id for point in points]
    values = {record.id: record.payload for record in scope.retrieve(ids, Wanted(payload=(by.path,)))}
    field = scope.collection.schema.fields[by.path]
    is_datetime = field.kind == "datetime"
    rows: list[Json] = []
    for record in scope.retrieve(ids, wanted):
        found = [as_moment(v) if is_datetime else v for v in values_at(values.get(record.id), by.path)]
        numbers = [value for value in found if isinstance(value, int | float)]
        kept = [
            n
            for n in numbers
            if by.start_from is None or (n <= by.start_from) == by.is_descending or n == by.start_from
        ]
        value = (max if by.is_descending else min)(kept or numbers, default=0)
        order = order_value_json(value, is_datetime=False)
        rows.append({**record_json(record), "version": 0, "score": 0.0, "order_value": order})
    return rows
