"""Routes that write and read points."""

from collections.abc import Callable, Sequence

from hekla.base.errors import InputError, NotFoundError, quoted
from hekla.protocols.api import ApiRequest, Route
from hekla.vector.doors.desk import Desk
from hekla.vector.doors.envelope import Told, answering
from hekla.vector.doors.filter_json import path_of, read_filter
from hekla.vector.doors.json_fields import Fields, Json, read_json
from hekla.vector.doors.payload_paths import merged_at, without
from hekla.vector.doors.point_json import read_points, read_vectors_of_points, read_wanted, record_json
from hekla.vector.doors.scope import Scope
from hekla.vector.edits import Selection
from hekla.vector.point import PointId, read_id
from hekla.vector.records import ALL

_COLLECTION = "/collections/{name}"
Write = Callable[[Scope, Json, str], int]  # returns how many points it was about


class PointRoutes:
    """Upsert, delete, payloads, vectors; retrieve."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._writes: dict[str, Write] = {
            "upsert": self._upsert,
            "delete": self._delete,
            "set_payload": self._set_payload,
            "overwrite_payload": self._overwrite_payload,
            "delete_payload": self._delete_payload,
            "clear_payload": self._clear_payload,
            "update_vectors": self._update_vectors,
            "delete_vectors": self._delete_vectors,
        }

    @property
    def routes(self) -> Sequence[Route]:
        """Every route."""
        points = f"{_COLLECTION}/points"
        writes = (
            ("PUT", points, "upsert"),
            ("POST", f"{points}/delete", "delete"),
            ("POST", f"{points}/payload", "set_payload"),
            ("PUT", f"{points}/payload", "overwrite_payload"),
            ("POST", f"{points}/payload/delete", "delete_payload"),
            ("POST", f"{points}/payload/clear", "clear_payload"),
            ("PUT", f"{points}/vectors", "update_vectors"),
            ("POST", f"{points}/vectors/delete", "delete_vectors"),
        )
        return [
            *(Route(method, path, answering(self._writer(kind)), True, 0) for method, path, kind in writes),
            Route("POST", f"{points}/batch", answering(self._batch), True, 0),
            Route("POST", points, answering(self._retrieve), False, 0),
            Route("GET", f"{points}/{{id}}", answering(self._one), False, 0),
        ]

    def _writer(self, kind: str) -> Callable[[ApiRequest], Json]:
        write = self._writes[kind]

        def handle(request: ApiRequest) -> Json:
            scope = self._desk.scope(request.parameters[0], request.caller)
            count = write(scope, read_json(request.body), "$")
            return Told(self._desk.done(request), (("hekla-points", str(count)),))

        return handle

    def _batch(self, request: ApiRequest) -> Json:
        scope = self._desk.scope(request.parameters[0], request.caller)
        fields = Fields(read_json(request.body))
        fields.need("operations")
        done = []
        for i, operation in enumerate(fields.items("operations") or []):
            where = f"$.operations[{i}]"
            one = Fields(operation, where)
            names = one.names()
            if len(names) != 1 or names[0] not in self._writes:
                raise InputError(f"expected one of {', '.join(self._writes)}, got {quoted(names)}", where=where)
            self._writes[names[0]](scope, one.get(names[0]), one.place(names[0]))
            done.append(self._desk.done(request))
        fields.end()
        return done

    def _upsert(self, scope: Scope, document: Json, where: str) -> int:
        points = read_points(document, scope.collection.schema, self._desk.inference(), where)
        scope.upsert(points)
        return len(points)

    def _delete(self, scope: Scope, document: Json, where: str) -> int:
        fields = Fields(document, where)
        selection = read_selection(fields)
        fields.end()
        return scope.collection.delete(scope.selection(selection))

    def _set_payload(self, scope: Scope, document: Json, where: str) -> int:
        fields = Fields(document, where)
        payload = _payload(fields)
        path = path_of(fields, "key") if fields.get("key") is not None else ""
        selection = read_selection(fields)
        fields.end()
        return scope.edit_payload(lambda old: merged_at(old, path, payload) if path else {**old, **payload}, selection)

    def _overwrite_payload(self, scope: Scope, document: Json, where: str) -> int:
        fields = Fields(document, where)
        payload = _payload(fields)
        fields.refuse("key")
        selection = read_selection(fields)
        fields.end()
        return scope.edit_payload(lambda _: payload, selection)

    def _delete_payload(self, scope: Scope, document: Json, where: str) -> int:
        fields = Fields(document, where)
        keys = fields.texts("keys")
        selection = read_selection(fields)
        fields.end()
        return scope.edit_payload(lambda old: without(old, keys), selection)

    def _clear_payload(self, scope: Scope, document: Json, where: str) -> int:
        fields = Fields(document, where)
        selection = read_selection(fields)
        fields.end()
        return scope.edit_payload(lambda _: {}, selection)

    def _update_vectors(self, scope: Scope, document: Json, where: str) -> int:
        points = read_vectors_of_points(document, scope.collection.schema, self._desk.inference(), where)
        together: dict[tuple[str, ...], list[int]] = {}
        for i, point in enumerate(points):
            together.setdefault(tuple(sorted(point.vectors)), []).append(i)
        return sum(scope.update_vectors([points[i] for i in each]) for each in together.values())

    def _delete_vectors(self, scope: Scope, document: Json, where: str) -> int:
        fields = Fields(document, where)
        names = fields.texts("vector")
        selection = read_selection(fields)
        fields.end()
        return scope.collection.delete_vectors(names, scope.selection(selection))

    def _retrieve(self, request: ApiRequest) -> Json:
        scope = self._desk.scope(request.parameters[0], request.caller)
        fields = Fields(read_json(request.body))
        fields.ignore("shard_key")
        ids = read_ids(fields, "ids")
        wanted = read_wanted(fields, payload=True)
        fields.end()
        return [record_json(record) for record in scope.retrieve(ids, wanted)]

    def _one(self, request: ApiRequest) -> Json:
        scope = self._desk.scope(request.parameters[0], request.caller)
        text = request.parameters[1]
        id_ = read_id(int(text) if text.isdecimal() else text, "id")
        found = scope.retrieve([id_], ALL)
        if not found:
            raise NotFoundError(f"Not found: Point with id {id_} does not exists!")
        return record_json(found[0])


def read_ids(fields: Fields, name: str) -> list[PointId]:
    """Return a list of ids that must be there."""
    fields.need(name)
    return [read_id(value, f"{fields.place(name)}[{i}]") for i, value in enumerate(fields.items(name) or [])]


def read_selection(fields: Fields) -> Selection:
    """Return which points a write is about: `points` or `filter`."""
    fields.ignore("shard_key")
    filter_ = read_filter(fields.get("filter"), fields.place("filter"))
    if fields.get("points") is not None:
        if filter_ is not None:
            raise InputError("expected points or filter, got both", where=fields.where)
        return read_ids(fields, "points")
    if filter_ is None:
        raise InputError("expected points or filter, got neither", where=fields.where)
    return filter_


def _payload(fields: Fields) -> dict[str, Json]:
    payload = fields.need("payload")
    if not isinstance(payload, dict):
        raise InputError(f"expected an object, got {quoted(payload)}", where=fields.place("payload"))
    return payload
