"""Routes that make, describe and remove collections, payload indexes and aliases."""

from collections.abc import Sequence

from hekla.base.errors import InputError, quoted
from hekla.protocols.api import ApiRequest, Route
from hekla.vector.collection import Collection
from hekla.vector.doors.desk import Desk
from hekla.vector.doors.envelope import answering
from hekla.vector.doors.json_fields import Fields, Json, read_json
from hekla.vector.doors.schema_json import params_json, payload_schema_json, read_create, read_field
from hekla.vector.doors.scope import refuse_tenant
from hekla.vector.filters import Filter, IsEmpty

_ALL, _ONE = "/collections", "/collections/{name}"
# What other servers let be tuned; answered because clients read it.
_HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "max_indexing_threads": 0, "on_disk": True}
_OPTIMIZER = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "flush_interval_sec": 5,
}


class CollectionRoutes:
    """Collections as a whole."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def routes(self) -> Sequence[Route]:
        """Every route."""
        return [
            Route("GET", _ALL, answering(self._list)),
            Route("POST", f"{_ALL}/aliases", answering(self._change_aliases), True),
            Route("GET", "/aliases", answering(self._aliases)),
            Route("PUT", _ONE, answering(self._create), True, 0),
            Route("GET", _ONE, answering(self._describe), False, 0),
            Route("PATCH", _ONE, answering(self._update), True, 0),
            Route("DELETE", _ONE, answering(self._delete), True, 0),
            Route("GET", f"{_ONE}/exists", answering(self._exists), False, 0),
            Route("GET", f"{_ONE}/aliases", answering(self._aliases_of), False, 0),
            Route("PUT", f"{_ONE}/index", answering(self._create_index), True, 0),
            Route("DELETE", f"{_ONE}/index/{{field}}", answering(self._delete_index), True, 0),
            Route("GET", f"{_ONE}/cluster", answering(self._cluster), False, 0),
            Route("GET", f"{_ONE}/shards", answering(self._shards), False, 0),
            Route("GET", f"{_ONE}/optimizations", answering(self._optimizations), False, 0),
        ]

    def _list(self, request: ApiRequest) -> Json:
        return {"collections": [{"name": name} for name in self._desk.catalogue.names(request.caller)]}

    def _create(self, request: ApiRequest) -> Json:
        refuse_tenant(request.caller)
        schema = read_create(read_json(request.body or b"{}"), self._desk.options.tenant_field)
        self._desk.catalogue.create(request.parameters[0], schema, request.caller)
        return True

    def _describe(self, request: ApiRequest) -> Json:
        scope = self._desk.scope(request.parameters[0], request.caller)
        collection = scope.collection
        status = collection.status()
        points = status.points if not request.caller.tenant else collection.count(scope.filter(None))
        indexed = sum(segment.live for segment in status.segments if segment.has_graph)
        found: dict[str, Json] = {
            "status": "yellow" if status.damaged else "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": min(indexed, points),
            "points_count": points,
            "segments_count": len(status.segments) + 1,
            "config": {
                "params": params_json(collection.schema),
                "hnsw_config": _HNSW,
                "optimizer_config": _OPTIMIZER,
                "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
            },
            "payload_schema": payload_schema_json(collection.schema, _counts(collection, scope.filter(None))),
        }
        if status.damaged:
            found["warnings"] = [{"message": text} for text in status.damaged]
        return found

    def _update(self, request: ApiRequest) -> Json:
        self._desk.scope(request.parameters[0], request.caller).for_all()
        fields = Fields(read_json(request.body))
        fields.ignore("vectors", "optimizers_config", "params", "hnsw_config", "quantization_config", "sparse_vectors")
        fields.refuse("strict_mode_config", "metadata")
        fields.end()
        return True

    def _delete(self, request: ApiRequest) -> Json:
        refuse_tenant(request.caller)
        return self._desk.catalogue.delete(request.parameters[0], request.caller)

    def _exists(self, request: ApiRequest) -> Json:
        return {"exists": self._desk.catalogue.has(request.parameters[0], request.caller)}

    def _create_index(self, request: ApiRequest) -> Json:
        scope = self._desk.scope(request.parameters[0], request.caller)
        scope.for_all()
        path, field = read_field(read_json(request.body))
        scope.collection.create_field(path, field)
        return self._desk.done(request)

    def _delete_index(self, request: ApiRequest) -> Json:
        scope = self._desk.scope(request.parameters[0], request.caller)
        scope.for_all()
        if request.parameters[1] in scope.collection.schema.fields:
            scope.collection.delete_field(request.parameters[1])
        return self._desk.done(request)

    def _aliases(self, request: ApiRequest) -> Json:
        return _aliases_json(self._desk.catalogue.aliases(request.caller))

    def _aliases_of(self, request: ApiRequest) -> Json:
        catalogue = self._desk.catalogue
        name = catalogue.real_name(request.parameters[0], request.caller)
        return _aliases_json([row for row in catalogue.aliases(request.caller) if row[1] == name])

    def _change_aliases(self, request: ApiRequest) -> Json:
        refuse_tenant(request.caller)
        fields = Fields(read_json(request.body))
        fields.need("actions")
        actions = [_action(value, f"$.actions[{i}]") for i, value in enumerate(fields.items("actions") or [])]
        fields.end()
        self._desk.catalogue.change_aliases(actions, request.caller)
        return True

    def _cluster(self, request: ApiRequest) -> Json:
        scope = self._desk.scope(request.parameters[0], request.caller)
        scope.for_all()
        shard = {"shard_id": 0, "points_count": len(scope.collection), "state": "Active"}
        return {
            "peer_id": 0,
            "shard_count": 1,
            "local_shards": [shard],
            "remote_shards": [],
            "shard_transfers": [],
        }

    def _shards(self, request: ApiRequest) -> Json:
        self._desk.scope(request.parameters[0], request.caller).for_all()
        return {"shard_keys": []}

    def _optimizations(self, request: ApiRequest) -> Json:
        """Answer how many points wait to be sealed into a segment: there is one queue, and it has one entry."""
        scope = self._desk.scope(request.parameters[0], request.caller)
        scope.for_all()
        status = scope.collection.status()
        waiting = {
            "queued_optimizations": int(status.tail_rows > 0),
            "queued_segments": int(status.tail_rows > 0),
            "queued_points": status.tail_rows,
            "idle_segments": len(status.segments),
        }
        return {"summary": waiting, "running": []}


def _counts(collection: Collection, filter_: Filter | None) -> dict[str, int]:
    """Return how many points have a value at each indexed path."""
    own = () if filter_ is None else (filter_,)
    return {path: collection.count(Filter(must=own, must_not=(IsEmpty(path),))) for path in collection.schema.fields}


def _aliases_json(rows: Sequence[tuple[str, str]]) -> Json:
    return {"aliases": [{"alias_name": alias, "collection_name": name} for alias, name in rows]}


def _action(document: Json, where: str) -> tuple[str, str, str]:
    fields = Fields(document, where)
    for kind, first, second in (
        ("create", "alias_name", "collection_name"),
        ("rename", "old_alias_name", "new_alias_name"),
        ("delete", "alias_name", ""),
    ):
        inner = fields.inner(f"{kind}_alias")
        if inner is not None:
            found = kind, inner.need_text(first), inner.need_text(second) if second else ""
            inner.end()
            fields.end()
            return found
    raise InputError(f"expected create_alias, rename_alias or delete_alias, got {quoted(document)}", where=where)
