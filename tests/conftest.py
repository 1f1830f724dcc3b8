"""Fixtures every folder of tests may use."""

import contextlib
import os
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


@pytest.fixture(autouse=True, scope="session")
def _code_cache_of_the_tree() -> Iterator[None]:
    """Keep compiled kernels in the working tree's own cache, never in the user's."""
    before = os.environ.get("HEKLA_CACHE")
    os.environ["HEKLA_CACHE"] = before if before is not None else str(Path(__file__).parents[1] / ".cache/code")
    yield
    if before is None:
        del os.environ["HEKLA_CACHE"]
