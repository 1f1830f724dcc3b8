"""One server with Triton's sample models and an identity model per element type, shared by this folder's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.embedder import write_embedder
from tests.conformance.triton_clients import KINDS, TritonClient
from tests.conformance.triton_models import write_running_sum, write_triton_models
from tests.model_folders import ONNX_TYPE, write_identity_model
from tests.running_server import RunningServer, running_server
from tests.text_models import write_text_model


@pytest.fixture(scope="session")
def triton_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seven sample models."""
    return write_triton_models(tmp_path_factory.mktemp("triton"))


@pytest.fixture(scope="session")
def server(triton_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of the sample models and of `identity_*`."""
    identities = tmp_path_factory.mktemp("identities")
    for kind in ONNX_TYPE:
        write_identity_model(identities, f"identity_{kind.lower()}", kind)
    write_identity_model(identities, "spare", "FP32")
    write_running_sum(identities)
    write_embedder(identities)
    write_text_model(identities, "words")
    with running_server(
        triton_models, identities, args=["--python-models", str(triton_models), "--python-models", str(identities)]
    ) as running:
        yield running


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[TritonClient]:
    """Each of the four clients in turn."""
    made = TritonClient(request.param, server)
    yield made
    made.close()


@pytest.fixture(params=("http", "http-aio"))
def http_client(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[TritonClient]:
    """The two HTTP clients in turn."""
    made = TritonClient(request.param, server)
    yield made
    made.close()


@pytest.fixture(params=("grpc", "grpc-aio"))
def grpc_client(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[TritonClient]:
    """The two gRPC clients in turn."""
    made = TritonClient(request.param, server)
    yield made
    made.close()
