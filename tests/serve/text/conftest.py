"""A server of small text models, and OpenAI's own client of it."""

from collections.abc import Iterator

import openai
import pytest
from tests.running_server import RunningServer, running_server
from tests.text_models import write_text_model

SMALL = "context = 256\nwaiting = 512"


@pytest.fixture(scope="session")
def text_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """`words` is fast, `slow` takes 20 ms a token, `narrow` answers one at a time, two may wait; `endless` has room."""
    repository = tmp_path_factory.mktemp("texts")
    write_text_model(repository, "words", engine=SMALL)
    write_text_model(repository, "slow", engine="pace_ms = 20")
    write_text_model(repository, "narrow", engine="pace_ms = 20\nrunning = 1", toml="[text]\nmax_waiting = 2")
    write_text_model(repository, "endless", engine="context = 100000\npages = 7000")
    with running_server(repository) as running:
        yield running


@pytest.fixture(scope="session")
def client(text_server: RunningServer) -> Iterator[openai.OpenAI]:
    """`openai`'s client, unchanged."""
    with openai.OpenAI(base_url=f"{text_server.http_url}/v1", api_key="none", max_retries=0) as made:
        yield made
