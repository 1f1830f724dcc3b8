"""Routes about the server that `qdrant-client` asks: what it is, whether it is well. One process, no cluster."""

from collections.abc import Sequence

from hekla.protocols.api import ApiRequest, ApiResponse, Route
from hekla.vector.doors.desk import Desk
from hekla.vector.doors.envelope import answering
from hekla.vector.doors.json_fields import Json
from hekla.vector.doors.point_json import dumps
from hekla.vector.doors.scope import refuse_tenant

# The version whose requests are understood, as clients compare it with their own. Its own name stands in `title`.
SPOKEN_VERSION = "1.20.0"


class SystemRoutes:
    """What the server is."""

    def __init__(self, desk: Desk, title: str) -> None:
        self._desk, self._title = desk, title

    @property
    def routes(self) -> Sequence[Route]:
        """Every route. At `/`, browsers are shown the console where there is one."""
        health = ("/healthz", "/livez", "/readyz")
        return [
            Route("GET", "/", self._version, is_public=True),
            *(Route("GET", path, _well, is_public=True) for path in health),
            Route("GET", "/cluster", answering(lambda _: {"status": "disabled"})),
            Route("GET", "/telemetry", answering(self._telemetry)),
            Route("GET", "/cluster/telemetry", answering(self._cluster_telemetry)),
            Route("GET", "/snapshots", answering(lambda _: [])),
            Route("GET", "/locks", answering(lambda _: {"write": False})),
            Route("GET", "/issues", answering(lambda _: {"issues": []})),
            Route("DELETE", "/issues", answering(lambda _: True)),
        ]

    def _version(self, request: ApiRequest) -> ApiResponse:
        return ApiResponse(dumps({"title": self._title, "version": SPOKEN_VERSION, "commit": ""}))

    def _telemetry(self, request: ApiRequest) -> Json:
        refuse_tenant(request.caller)
        names = self._desk.catalogue.names(request.caller)
        return {
            "id": "hekla",
            "app": {"name": self._title, "version": SPOKEN_VERSION},
            "collections": {"number_of_collections": len(names)},
            "cluster": {"enabled": False},
        }

    def _cluster_telemetry(self, request: ApiRequest) -> Json:
        refuse_tenant(request.caller)
        return {"collections": {}, "cluster": {"enabled": False, "number_of_peers": 1, "peers": {}}}


def _well(request: ApiRequest) -> ApiResponse:
    return ApiResponse(b"healthz check passed", media_type="text/plain")
