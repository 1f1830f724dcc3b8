"""A running server with a vector database and no models, for the tests of its doors."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient
from tests.running_server import RunningServer, running_server
from tests.vector.doors.worlds import create, points

Start = Callable[[Path, str], "object"]
SEED, COUNT = 5, 300


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose database is empty at first."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "models").mkdir()
    (folder / "server.toml").write_text(f'[apis.vector]\nfolder = "{folder}/vectors"\n')
    with running_server(folder / "models", args=("--config", str(folder / "server.toml"))) as running:
        yield running


@pytest.fixture(scope="module")
def served(server: RunningServer) -> Iterator[QdrantClient]:
    """The unmodified client on the server."""
    client = QdrantClient(url=server.http_url, check_compatibility=False, timeout=30)
    yield client
    client.close()


@pytest.fixture(scope="module")
def local() -> Iterator[QdrantClient]:
    """The client's own local mode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that payload indexes do nothing there
        client = QdrantClient(":memory:")
        yield client
        client.close()


@pytest.fixture(scope="module")
def both(served: QdrantClient, local: QdrantClient) -> tuple[QdrantClient, QdrantClient]:
    """The server and the oracle with the same points in them."""
    made = points(SEED, COUNT)
    for client in (served, local):
        create(client)
        client.upsert("world", made)
    return served, local
