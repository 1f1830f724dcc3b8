"""The vector database as an `Api`, which the server mounts. Entry point `vector` of `hekla.apis`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hekla.base.errors import ConfigError, nearest_name, quoted
from hekla.protocols.api import ApiResponse, ApiServices, ApiSource, Route, Rpc
from hekla.vector.doors.catalogue import Catalogue
from hekla.vector.doors.collection_routes import CollectionRoutes
from hekla.vector.doors.desk import Desk, Options
from hekla.vector.doors.envelope import tell
from hekla.vector.doors.openapi import openapi_of
from hekla.vector.doors.point_routes import PointRoutes
from hekla.vector.doors.refused_routes import refused_routes
from hekla.vector.doors.rpc import VectorRpcs
from hekla.vector.doors.search_routes import SearchRoutes
from hekla.vector.doors.snapshot_routes import SnapshotRoutes
from hekla.vector.doors.system_routes import SystemRoutes

_TITLE = "hekla - vector database"


def load(source: ApiSource, services: ApiServices) -> "VectorApi":
    """Return the interface to the collections in a folder. Errors: ConfigError; LockedError; DiskError."""
    return VectorApi(Desk(Catalogue(source.folder), services.embed, read_options(source.options, source.where)))


def read_options(given: Mapping[str, object], where: str) -> Options:
    """Return `[apis.vector]`. Errors: ConfigError for a key that is unknown or of another type."""
    kinds: dict[str, type] = {"tenant_field": str, "tenant_points": int, "embed_model": str, "recover_from": list}
    for name, value in given.items():
        if name not in kinds:
            cure = nearest_name(name, kinds)
            raise ConfigError("unknown key", where=f"{where}.{name}", cure=cure)
        if type(value) is not kinds[name] or (isinstance(value, int) and value < 0):
            expected = {"str": "a string", "list": "a list of folders"}.get(
                kinds[name].__name__, "a whole number from 0 on"
            )
            raise ConfigError(f"expected {expected}, got {quoted(value)}", where=f"{where}.{name}")
    field = str(given.get("tenant_field", ""))
    if "." in field or "[" in field:
        raise ConfigError("is a key of payloads, without dots", where=f"{where}.tenant_field")
    points = given.get("tenant_points", 0)
    assert isinstance(points, int), "it was looked at"
    folders = _read_folders(given.get("recover_from", ()), f"{where}.recover_from")
    return Options(field, points, str(given.get("embed_model", Options().embed_model)), folders)


def _read_folders(given: object, where: str) -> tuple[Path, ...]:
    assert isinstance(given, list | tuple), "it was looked at"
    for value in given:
        if not isinstance(value, str) or not Path(value).is_absolute() or not Path(value).is_dir():
            raise ConfigError(f"expected a folder's absolute path, got {quoted(value)}", where=where)
    return tuple(Path(value).resolve() for value in given)


class VectorApi:
    """Routes and remote procedures. Any thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._routes: Sequence[Route] = (
            *SystemRoutes(desk, _TITLE).routes,
            *CollectionRoutes(desk).routes,
            *SnapshotRoutes(desk).routes,
            *SearchRoutes(desk).routes,
            *PointRoutes(desk).routes,
            *refused_routes(),
        )
        self._rpcs = VectorRpcs(desk).rpcs

    @property
    def routes(self) -> Sequence[Route]:
        """Every route."""
        return self._routes

    @property
    def rpcs(self) -> Sequence[Rpc]:
        """Every remote procedure."""
        return self._rpcs

    def tell(self, error: Exception) -> ApiResponse:
        """Return an error as `qdrant-client` reads it."""
        return tell(error)

    def openapi(self) -> Mapping[str, Any]:  # Any: JSON
        """Return the routes' part of the OpenAPI document: those that do something."""
        refused = {(route.method, route.pattern) for route in refused_routes()}
        return openapi_of([route for route in self._routes if (route.method, route.pattern) not in refused])

    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """Return points, segments, rows in no segment yet and damaged files of each collection."""
        each = [(name, collection.status()) for name, collection in self._desk.catalogue.items()]
        return {
            "points": {name: status.points for name, status in each},
            "segments": {name: len(status.segments) for name, status in each},
            "tail_rows": {name: status.tail_rows for name, status in each},
            "segment_bytes": {name: sum(s.bytes for s in status.segments) for name, status in each},
            "damaged": {name: len(status.damaged) for name, status in each},
        }

    def close(self) -> None:
        """Close every collection."""
        self._desk.catalogue.close()
