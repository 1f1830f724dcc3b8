"""A server that traces: the trace comes in and goes out by header, and its spans reach a collector over OTLP."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.conftest import Serve
from tests.model_folders import write_identity_model

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}


class Collector(HTTPServer):
    """Keeps the bodies posted to /v1/traces."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        assert self.path == "/v1/traces"
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector on a free port."""
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_a_trace_passes_through_the_server(tmp_path: Path, serve: Serve, collector: Collector) -> None:
    repository = tmp_path / "models"
    write_identity_model(repository, "m", "FP32", ("n", 1), input_name="x")
    server = serve(repository, "--otlp-endpoint", f"http://127.0.0.1:{collector.server_port}")
    sent = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    for headers in ({}, sent, sent):
        reply = server.post_json("/v2/models/m/infer", BODY, headers)
        assert reply.status == 200, reply
        version, trace, span, flags = reply.headers["traceparent"].split("-")
        assert (version, int(flags, 16) & 1) == ("00", 1)  # and maybe the bit that says the id is random
        assert (trace == TRACE) == bool(headers)
        assert span != SPAN
    server.terminate()
    assert server.wait() == 0, "what was not exported yet is, before the end"
    found = [
        span
        for body in collector.bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    mine = [span for span in found if span.trace_id.hex() == TRACE]
    assert sorted(span.name for span in mine) == sorted(["infer m", "queue", "infer"] * 2)
    assert {span.parent_span_id.hex() for span in mine if span.name == "infer m"} == {SPAN}
