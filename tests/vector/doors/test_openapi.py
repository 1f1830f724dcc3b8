"""The vector database's part of the OpenAPI document, run against the server by schemathesis."""

from typing import Any  # schemathesis's cases are generic in what no test reads

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from qdrant_client import QdrantClient, models
from schemathesis.checks import CheckContext, load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.running_server import RunningServer

from hekla.protocols.api import Route
from hekla.vector.doors.collection_routes import CollectionRoutes
from hekla.vector.doors.desk import Desk, Options
from hekla.vector.doors.openapi import openapi_of
from hekla.vector.doors.point_routes import PointRoutes
from hekla.vector.doors.search_routes import SearchRoutes
from hekla.vector.doors.snapshot_routes import SnapshotRoutes
from hekla.vector.doors.system_routes import SystemRoutes

pytestmark = pytest.mark.slow

load_all_checks()


def every_route() -> list[Route]:
    """Return the routes; nobody asks them, so they need no collections."""
    nothing: Any = None  # a catalogue that is not asked, an embedder that is not
    desk = Desk(nothing, nothing, Options())
    groups = (CollectionRoutes(desk), PointRoutes(desk), SearchRoutes(desk), SnapshotRoutes(desk))
    return [*SystemRoutes(desk, "").routes, *(route for group in groups for route in group.routes)]


schema = schemathesis.openapi.from_dict(
    {"openapi": "3.1.0", "info": {"title": "vectors", "version": "0"}, **openapi_of(every_route())}
)


def no_fault(context: CheckContext, response: schemathesis.Response, case: "schemathesis.Case[Any]") -> None:
    """500 would be a fault of ours."""
    assert response.status_code != 500, response.text


@pytest.fixture(scope="module", autouse=True)
def _collection(served: QdrantClient) -> None:
    served.create_collection("fuzz", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))


@schema.parametrize()
@settings(
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_server_does_what_the_description_says(case: "schemathesis.Case[Any]", server: RunningServer) -> None:
    if "name" in case.path_parameters and case.method != "DELETE":
        case.path_parameters["name"] = "fuzz"
    checks = [no_fault, status_code_conformance, content_type_conformance, response_schema_conformance]
    case.call_and_validate(base_url=server.http_url, checks=checks)


def test_every_route_is_described() -> None:
    described = openapi_of(every_route())["paths"]
    assert {(route.pattern, route.method.lower()) for route in every_route()} == {
        (path, method) for path, item in described.items() for method in item if method != "parameters"
    }
