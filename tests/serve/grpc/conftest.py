"""The running server the tests of this folder talk to."""

from collections.abc import Iterator

import pytest
from tests.serve.grpc.grpc_server import RunningServer, running_server

from hekla.serve.grpc.limits import GrpcLimits


@pytest.fixture
def limits() -> GrpcLimits:
    """What the server allows; tests override it."""
    return GrpcLimits()


@pytest.fixture
def server(limits: GrpcLimits) -> Iterator[RunningServer]:
    """A running server."""
    with running_server(limits) as running:
        yield running
