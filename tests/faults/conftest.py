"""One server for the faults that leave it as it was; faults that end it start their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.triton_models import write_running_sum
from tests.faults.fault_models import Gate, write_adder, write_fault_model
from tests.model_folders import write_identity_model
from tests.running_server import RunningServer, running_server


@pytest.fixture(scope="package")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared server's models."""
    folder = tmp_path_factory.mktemp("models")
    write_adder(folder)
    for kind in ("FP32", "BOOL", "BYTES", "INT8"):
        write_identity_model(folder, f"identity_{kind.lower()}", kind)
    write_identity_model(folder, "pictures", "UINT8", ("h", "w", 3), '[pipeline]\nload = "image.decode"\n', "pixels")
    write_running_sum(folder, "sums", "max_sequences = 2\n")
    write_running_sum(folder, "forgetful", "idle_timeout_s = 0.2\n")
    write_fault_model(folder, "faulty")
    write_fault_model(folder, "picky", "[batching]\nmax_batch = 8\nmax_delay_us = 1000\nadaptive = false\n")
    write_fault_model(folder, "narrow", "[queue]\ncapacity = 2\n")
    write_fault_model(folder, "isolated", engine='isolation = "process"')
    write_fault_model(folder, "hanging", "[queue]\nrun_timeout_ms = 300\n")
    write_fault_model(folder, "hanging_isolated", "[queue]\nrun_timeout_ms = 300\n", engine='isolation = "process"')
    return folder


@pytest.fixture(scope="package")
def server(repository: Path) -> Iterator[RunningServer]:
    """The shared server."""
    with running_server(repository, args=["--python-models", str(repository)]) as running:
        yield running


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate of this test's own."""
    return Gate(tmp_path)


@pytest.fixture(autouse=True)
def the_server_still_answers(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every fault the shared server must answer a good request."""
    yield
    if "server" not in request.fixturenames:
        return
    server: RunningServer = request.getfixturevalue("server")
    ones = {"datatype": "INT32", "shape": [1, 16], "data": [1] * 16}
    reply = server.post_json(
        "/v2/models/adder/infer", {"inputs": [{"name": "INPUT0", **ones}, {"name": "INPUT1", **ones}]}
    )
    assert reply.status == 200, reply
    assert reply.json()["outputs"][0]["data"] == [2] * 16
