"""Hekla's own OpenAPI document, as the server hands it out, run against that server by schemathesis."""

from typing import Any  # schemathesis's cases are generic in what no test reads

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CheckContext, load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.running_server import RunningServer

from hekla import __version__
from hekla.serve.openapi.document import openapi_document

load_all_checks()
# Half of what is generated for them asks for a model that does not exist; all should reach one.
_TEXTS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize", "/detokenize")


def no_fault(context: CheckContext, response: schemathesis.Response, case: "schemathesis.Case[Any]") -> None:
    """501, 503 and 504 are answers the description promises; 500 would be a fault of ours."""
    assert response.status_code != 500, response.text


schema = schemathesis.openapi.from_dict(openapi_document(__version__))


def test_the_document_is_served(server: RunningServer) -> None:
    reply = server.request("GET", "/openapi.json")
    assert reply.status == 200, reply
    assert reply.json() == openapi_document(__version__)


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
        # Loading and unloading is tried on a model no other test needs.
        case.path_parameters["model"] = "spare" if "/repository/" in case.path else "identity_fp32"
    if case.path in _TEXTS and isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = "words"
    case.call_and_validate(
        base_url=server.http_url,
        checks=[
            no_fault,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )
