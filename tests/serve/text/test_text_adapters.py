"""Adapters come and go while a model answers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.running_server import RunningServer, running_server
from tests.serve.text.sse_client import reading
from tests.serve.text.worlds import Reader, broken, text_world, until
from tests.text_models import write_text_model

from hekla.engines.ngram.engine import CORPUS
from hekla.serve.text.wish import TextWish

pytestmark = pytest.mark.slow

HI: Any = [{"role": "user", "content": "hi"}]  # Any: the client's types have no name for plain dicts


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = tmp_path_factory.mktemp("models")
    for name, engine in (("words", ""), ("slow", "pace_ms = 20")):
        folder = write_text_model(repository, name, engine=engine) / "1" / "adapters" / "rain"
        folder.mkdir(parents=True)
        (folder / CORPUS).write_text("It will rain.")
    with running_server(repository) as running:
        yield running


def change(server: RunningServer, way: str, **asked: str) -> tuple[int, Any]:  # Any: JSON
    """Load or unload; return status and document."""
    reply = server.post_json(f"/v1/{way}_lora_adapter", asked)
    return reply.status, reply.json()


def test_an_adapter_is_loaded_asked_listed_and_forgotten(server: RunningServer) -> None:
    loaded = change(server, "load", model="words", lora_name="rain", lora_path="adapters/rain")
    assert loaded == (200, {"id": "words:rain", "adapters": ["rain"]})
    with openai.OpenAI(base_url=f"{server.http_url}/v1", api_key="none", max_retries=0) as client:
        assert {"words", "words:rain"} <= {model.id for model in client.models.list()}
        assert client.models.retrieve("words:rain").to_dict()["parent"] == "words"
        answers = [
            client.chat.completions.create(model=model, messages=HI, temperature=0).choices[0].message.content
            for model in ("words", "words:rain")
        ]
        assert answers[1] == "It will rain."
        assert answers[0] != answers[1]
        assert change(server, "load", model="words", lora_name="rain", lora_path="adapters/rain")[0] == 409
        assert change(server, "unload", model="words", lora_name="rain")[0] == 200
        assert change(server, "unload", model="words", lora_name="rain")[0] == 404
        with pytest.raises(openai.NotFoundError, match="has no adapter 'rain'"):
            client.chat.completions.create(model="words:rain", messages=HI)


def test_an_adapter_in_use_stays(server: RunningServer) -> None:
    assert change(server, "load", model="slow", lora_name="rain", lora_path="adapters/rain")[0] == 200
    asked = {"model": "slow:rain", "messages": HI, "ignore_eos": True}
    with reading(server, "/v1/chat/completions", asked) as reader:
        next(reader.events())
        assert change(server, "unload", model="slow", lora_name="rain")[0] == 409


@pytest.mark.parametrize(
    ("asked", "param", "words"),
    [
        ({"lora_name": "x", "lora_path": "../../other/1"}, "lora_path", "leads out"),
        ({"lora_name": "x", "lora_path": "/etc"}, "lora_path", "leads out"),
        ({"lora_name": "../x", "lora_path": "adapters/rain"}, "lora_name", "letters, digits"),
        ({"lora_path": "adapters/rain"}, "lora_name", "must be a name"),
        ({"lora_name": "x", "lora_path": "adapters/none"}, "lora_path", "has no folder 'adapters/none'"),
        ({"lora_name": "x", "lora_path": "adapters"}, "lora_path", "cannot be read"),
    ],
)
def test_what_cannot_be_loaded_is_refused(server: RunningServer, asked: dict[str, str], param: str, words: str) -> None:
    status, document = change(server, "load", model="words", **asked)
    assert status == (404 if "none" in words else 400)
    assert document["error"]["param"] == param
    assert words in document["error"]["message"]


def test_among_several_models_one_must_be_named(server: RunningServer) -> None:
    status, document = change(server, "load", lora_name="x", lora_path="adapters/rain")
    assert (status, "slow, words" in document["error"]["message"]) == (400, True)


def test_an_engine_that_is_made_again_has_them_too(tmp_path: Path) -> None:
    folder = tmp_path / "1" / "rain"
    folder.mkdir(parents=True)
    (folder / CORPUS).write_text("It will rain.")

    async def test() -> str:
        async with text_world(path=tmp_path / "model.toml") as world:
            await world.model.adapters.load("rain", "rain")
            world.engines[0].fail_step = broken()
            await Reader(world.model, TextWish(("x",))).failure()
            await until(lambda: world.model.is_ready and "rain" in world.engines[-1].status().adapters)
            return await Reader(world.model, TextWish(("It w",), adapter="rain")).text()

    assert asyncio.run(test()) == "ill rain."
