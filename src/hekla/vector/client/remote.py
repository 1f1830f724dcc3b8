"""A collection of a running server, with the methods of an embedded one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import InputError
from hekla.vector.client.connection import Answer, Connection
from hekla.vector.client.records import id_from, record_from, schema_from, scored_from, wanted_json
from hekla.vector.collection import SearchResult
from hekla.vector.doors.filter_json import filter_json
from hekla.vector.doors.point_json import id_json, point_json, vectors_json
from hekla.vector.doors.schema_json import field_json
from hekla.vector.doors.search_json import search_json
from hekla.vector.edits import Selection
from hekla.vector.errors import PointError
from hekla.vector.filters import Filter
from hekla.vector.point import Payload, Point, PointId, Record, ScoredPoint, SparseVector, Vector
from hekla.vector.queries import Nearest, Search
from hekla.vector.records import ALL, ID_ONLY, WITH_PAYLOAD, Wanted
from hekla.vector.rows import AnyArray
from hekla.vector.schema import CollectionSchema, FieldSchema

_DURABLE = "wait=true"


class RemoteCollection:
    """One collection on a server. Any thread. Methods, values and errors are those of `hekla.vector.Collection`.

    Beside those, every method raises UnavailableError if the server cannot be asked, OverloadedError if it is too
    busy, DeniedError if the key is not good for it.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection, self.name = connection, name

    def _ask(self, method: str, *path: str, body: object = None, query: str = "") -> Answer:
        return self._connection.ask(method, ("collections", self.name, *path), body, query)

    def _write(self, method: str, *path: str, body: object) -> int:
        return int(self._ask(method, "points", *path, body=body, query=_DURABLE).headers.get("hekla-points", "0"))

    def __len__(self) -> int:
        return self.count()

    @property
    def schema(self) -> CollectionSchema:
        """What the collection holds."""
        return schema_from(self._ask("GET").result)

    # ---- writing

    def upsert(self, points: Sequence[Point]) -> None:
        """Add points, in place of those with their ids; on the server's disk when this returns."""
        self._write("PUT", body={"points": [point_json(_checked(point, i)) for i, point in enumerate(points)]})

    def upsert_arrays(
        self,
        ids: NDArray[np.uint64] | Sequence[PointId],
        vectors: AnyArray | Mapping[str, AnyArray],
        payloads: Sequence[Payload] | None = None,
    ) -> None:
        """Add points from arrays: ids (n,), vectors (n, dimension) or one such array a name."""
        named = vectors if isinstance(vectors, Mapping) else {"": vectors}
        for name, array in named.items():
            if not np.isfinite(array).all():
                raise PointError("holds NaN or infinity", where=f"vectors[{name!r}]", cure="clean the vectors")
        batch: dict[str, Any] = {"ids": [id_json(_plain_id(value)) for value in ids]}  # Any: JSON
        batch["vectors"] = {name: np.ascontiguousarray(array) for name, array in named.items()}
        if payloads is not None:
            batch["payloads"] = [dict(payload) for payload in payloads]
        self._write("PUT", body={"batch": batch})

    def delete(self, selection: Selection) -> int:
        """Remove points and return how many there were."""
        return self._write("POST", "delete", body=_selection_json(selection))

    def set_payload(self, payload: Payload, selection: Selection) -> int:
        """Set these keys of the points' payloads, keeping others; return how many points."""
        return self._write("POST", "payload", body={"payload": dict(payload), **_selection_json(selection)})

    def overwrite_payload(self, payload: Payload, selection: Selection) -> int:
        """Replace the points' payloads; return how many points."""
        return self._write("PUT", "payload", body={"payload": dict(payload), **_selection_json(selection)})

    def delete_payload(self, keys: Iterable[str], selection: Selection) -> int:
        """Remove these keys of the points' payloads; return how many points."""
        return self._write("POST", "payload", "delete", body={"keys": list(keys), **_selection_json(selection)})

    def clear_payload(self, selection: Selection) -> int:
        """Remove the points' payloads; return how many points."""
        return self._write("POST", "payload", "clear", body=_selection_json(selection))

    def update_vectors(self, points: Sequence[Point]) -> int:
        """Set these vectors of points that are there; return how many points."""
        rows = [
            {"id": id_json(point.id), "vector": vectors_json(_checked(point, i).vectors)}
            for i, point in enumerate(points)
        ]
        return self._write("PUT", "vectors", body={"points": rows})

    def delete_vectors(self, names: Iterable[str], selection: Selection) -> int:
        """Remove these vectors of the points; return how many points."""
        return self._write("POST", "vectors", "delete", body={"vector": list(names), **_selection_json(selection)})

    def create_field(self, path: str, field: FieldSchema) -> None:
        """Make a payload index."""
        self._ask("PUT", "index", body={"field_name": path, "field_schema": field_json(field)}, query=_DURABLE)

    def delete_field(self, path: str) -> None:
        """Remove a payload index; none there is no error on a server."""
        self._ask("DELETE", "index", path, query=_DURABLE)

    # ---- reading

    def search(self, vector: Vector, limit: int = 10, *, using: str = "", **more: Any) -> list[ScoredPoint]:
        """Return the points nearest to a vector. `more`: as `Search` has them, and `wanted`. Any: typed there."""
        wanted = more.pop("wanted", ID_ONLY)
        return self.query(Search(Nearest(vector, using), limit, **more), wanted).points

    def query(self, search: Search, wanted: Wanted = WITH_PAYLOAD) -> SearchResult:
        """Return what a search finds."""
        body = {**search_json(search), **wanted_json(wanted), "deadline_s": search.deadline_s}
        answer = self._ask("POST", "points", "query", body=body)
        is_complete = answer.headers.get("hekla-complete") != "false"
        return SearchResult([scored_from(point) for point in answer.result["points"]], is_complete)

    def query_groups(
        self, search: Search, by: str, *, groups: int = 10, group_size: int = 3, wanted: Wanted = WITH_PAYLOAD
    ) -> list[tuple[Any, list[ScoredPoint]]]:
        """Return the best points of the best groups: (value at path `by`, points). Any: the payload's value."""
        body = {**search_json(search), **wanted_json(wanted), "group_by": by, "limit": groups, "group_size": group_size}
        body |= {"deadline_s": search.deadline_s}
        body.pop("offset", None)
        found = self._ask("POST", "points", "query", "groups", body=body).result["groups"]
        return [(group["id"], [scored_from(point) for point in group["hits"]]) for group in found]

    def retrieve(self, ids: Sequence[PointId], wanted: Wanted = ALL) -> list[Record]:
        """Return the points with these ids, those that are there, in the order asked for."""
        body = {"ids": [id_json(value) for value in ids], **wanted_json(wanted)}
        return [record_from(record) for record in self._ask("POST", "points", body=body).result]

    def count(self, filter_: Filter | None = None) -> int:
        """Return how many points there are that a filter holds for."""
        body = {} if filter_ is None else {"filter": filter_json(filter_)}
        return int(self._ask("POST", "points", "count", body=body).result["count"])

    def scroll(
        self,
        *,
        filter_: Filter | None = None,
        after: PointId | None = None,
        limit: int = 10,
        wanted: Wanted = WITH_PAYLOAD,
    ) -> tuple[list[Record], PointId | None]:
        """Return points in the order of their ids, from `after` on (inclusive), and where the next page begins."""
        body: dict[str, Any] = {"limit": limit, **wanted_json(wanted)}  # Any: JSON
        if filter_ is not None:
            body["filter"] = filter_json(filter_)
        if after is not None:
            body["offset"] = id_json(after)
        page = self._ask("POST", "points", "scroll", body=body).result
        following = page["next_page_offset"]
        return [record_from(record) for record in page["points"]], None if following is None else id_from(following)

    def facet(self, path: str, *, filter_: Filter | None = None, limit: int = 10) -> list[tuple[str | int, int]]:
        """Return the values at a path, and how many points have each, the most frequent first."""
        body: dict[str, Any] = {"key": path, "limit": limit}  # Any: JSON
        if filter_ is not None:
            body["filter"] = filter_json(filter_)
        return [(hit["value"], hit["count"]) for hit in self._ask("POST", "facet", body=body).result["hits"]]


def _selection_json(selection: Selection) -> dict[str, Any]:  # Any: JSON
    if isinstance(selection, Filter):
        return {"filter": filter_json(selection)}
    return {"points": [id_json(value) for value in selection]}


def _plain_id(value: Any) -> PointId:  # Any: an element of an array or of a list
    return int(value) if isinstance(value, np.integer) else value


def _checked(point: Point, number: int) -> Point:
    """Refuse what JSON would turn into null."""
    for name, vector in point.vectors.items():
        try:
            values = np.asarray(vector.values if isinstance(vector, SparseVector) else vector)
        except ValueError:
            values = np.zeros(0)  # ragged: the server says what is wrong with it
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            where = f"$.points[{number}].vector" + (f".{name}" if name else "")
            raise PointError("holds NaN or infinity", where=where, cure="clean the vectors")
    return point


def refuse_server_side(schema: CollectionSchema) -> None:
    """Refuse what a collection on a server cannot be given by a request. Errors: InputError."""
    default = CollectionSchema(schema.vectors, schema.sparse, schema.fields)
    if schema != default:
        raise InputError("sync, sealing and tenants are the server's own", where="$.schema", cure="leave them out")
