"""The protocol's OpenAPI description, written by others, run against the server by schemathesis.

Each operation is asked twice: with names as they are generated (models that do not exist) and with the name of a model
that does. The seed is fixed; what is sent depends on nothing but the description.
"""

import http.server
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any  # schemathesis's cases are generic in what no test reads

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CheckFunction, load_all_checks, not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.running_server import RunningServer

load_all_checks()
_FOLDER = Path(__file__).parent / "open_inference"
# `infer_stream` and `generate*` are extensions of other servers: Hekla answers 404 (see docs/conformance.md).
_NOT_SERVED = ("infer_stream", "generate", "generate_stream")
# The description has no other answer than 200 here, and a 404 is what an unknown model gets.
_UNDOCUMENTED_404 = ("model-ready", "model-version-ready")
_CHECKS: Sequence[CheckFunction] = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
_SETTINGS = settings(
    max_examples=20,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def _data_plane() -> dict[str, Any]:
    """Return the description, less its one mistake: tensor data of the type "bytes", which OpenAPI does not have."""
    description: dict[str, Any] = json.loads((_FOLDER / "dataplane.json").read_text())
    data = description["components"]["schemas"]["TensorData"]
    data["oneOf"] = [kind for kind in data["oneOf"] if kind.get("type") != "bytes"]
    return description


data_plane = schemathesis.openapi.from_dict(_data_plane()).exclude(path_regex="(" + "|".join(_NOT_SERVED) + ")$")
repository = schemathesis.openapi.from_dict(json.loads((_FOLDER / "model_repository.json").read_text()))


@data_plane.parametrize()
@_SETTINGS
def test_any_request_is_answered_as_the_protocol_says(case: "schemathesis.Case[Any]", server: RunningServer) -> None:
    _call(case, server)


@data_plane.parametrize()
@_SETTINGS
def test_any_request_to_a_served_model_is_answered_as_the_protocol_says(
    case: "schemathesis.Case[Any]", server: RunningServer
) -> None:
    if "model_name" in case.path_parameters:
        case.path_parameters["model_name"] = "identity_fp32"
    if "model_version" in case.path_parameters:
        case.path_parameters["model_version"] = "1"
    _call(case, server)


@repository.parametrize()
@_SETTINGS
def test_any_repository_request_is_answered_as_the_protocol_says(
    case: "schemathesis.Case[Any]", server: RunningServer
) -> None:
    if "model_name" in case.path_parameters:
        case.path_parameters["model_name"] = "spare"  # no other test needs it loaded
    case.call_and_validate(base_url=server.http_url, checks=[not_a_server_error, response_schema_conformance])


def _call(case: "schemathesis.Case[Any]", server: RunningServer) -> None:
    operation = case.operation.definition.raw.get("operationId")
    checks = [check for check in _CHECKS if check is not status_code_conformance or operation not in _UNDOCUMENTED_404]
    case.call_and_validate(base_url=server.http_url, checks=checks)


@pytest.mark.parametrize("name", _NOT_SERVED)
def test_an_extension_that_is_not_served_is_not_found(server: RunningServer, name: str) -> None:
    reply = server.post_json(f"/v2/models/simple/{name}", {})
    assert reply.status == 404, reply
    assert reply.error


def test_the_protocols_own_example_is_answered(server: RunningServer) -> None:
    document = {
        "id": "42",
        "inputs": [{"name": "INPUT0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 3, 4]}],
        "outputs": [{"name": "OUTPUT0"}],
    }
    reply = server.post_json("/v2/models/identity_uint32/infer", document)
    assert reply.status == 200, reply
    assert reply.json()["id"] == "42"
    assert reply.json()["outputs"] == [{"name": "OUTPUT0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 3, 4]}]


class _Liar(http.server.BaseHTTPRequestHandler):
    """Answers every GET with 200 and an empty object."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def test_an_answer_that_is_not_what_the_description_says_is_noticed() -> None:
    operation = data_plane["/v2"]["GET"]
    with http.server.HTTPServer(("127.0.0.1", 0), _Liar) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(FailureGroup, match="schema"):
            operation.Case().call_and_validate(base_url=f"http://127.0.0.1:{server.server_port}", checks=list(_CHECKS))
        server.shutdown()
