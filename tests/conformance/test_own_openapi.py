"""Hekla's own OpenAPI document, as the server hands it out, run against that server by schemathesis."""

from typing import Any  # schemathesis's cases are generic in what no test reads

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.running_server import RunningServer

load_all_checks()


@pytest.fixture
def own_schema(server: RunningServer) -> schemathesis.BaseSchema:
    """The document at /openapi.json."""
    reply = server.request("GET", "/openapi.json")
    assert reply.status == 200, reply
    return schemathesis.openapi.from_dict(reply.json())


schema = schemathesis.pytest.from_fixture("own_schema")


@schema.parametrize()
@settings(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_server_does_what_its_own_description_says(case: "schemathesis.Case[Any]", server: RunningServer) -> None:
    if "model" in case.path_parameters:
        case.path_parameters["model"] = "identity_fp32"
    case.call_and_validate(
        base_url=server.http_url,
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )
