"""Fixtures every folder of tests may use."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.running_server import RunningServer, running_server

Serve = Callable[..., RunningServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers: `serve(repository, *args)`; all are stopped at the end of the test and must exit 0."""
    with contextlib.ExitStack() as stack:

        def start(repository: Path, *args: str) -> RunningServer:
            return stack.enter_context(running_server(repository, args=args))

        yield start
