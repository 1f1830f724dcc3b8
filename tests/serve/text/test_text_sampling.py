"""How tokens are chosen where a request does not say: the model's own way, at every door."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.running_server import running_server
from tests.serve.text.worlds import GREEDY, Reader, text_world
from tests.text_models import write_text_model

from hekla.protocols.text_engine import Sampling
from hekla.serve.config import TextConfig
from hekla.serve.openai.fields import Fields
from hekla.serve.openai.sampling import KEYS, left_out, read_sampling
from hekla.serve.text.vllm_parameters import read_parameters
from hekla.serve.text.wish import TextWish

OWN = replace(TextConfig().sampling, temperature=0.25, top_p=0.9)


def test_what_a_request_leaves_out_is_the_models_own_and_what_it_says_stays() -> None:
    async def test() -> None:
        async with text_world(text=replace(TextConfig(), sampling=OWN)) as world:
            said = Fields({"temperature": 1.5, "top_p": None}, "$", KEYS)
            meant = world.model.meant(TextWish((), sampling=read_sampling(said, None), left_out=left_out(said)))
            assert (meant.sampling.temperature, meant.sampling.top_p, meant.left_out) == (1.5, 0.9, frozenset())
            assert world.model.meant(meant) is meant
            over_grpc = world.model.meant(read_parameters(b'{"top_p": 0.5}'))
            assert (over_grpc.sampling.temperature, over_grpc.sampling.top_p) == (0.25, 0.5)
            assert world.model.meant(TextWish((), sampling=GREEDY)).sampling is GREEDY

    asyncio.run(test())


def test_the_engine_is_asked_so() -> None:
    async def test() -> None:
        likeliest = replace(TextConfig().sampling, temperature=0.0)
        async with text_world(text=replace(TextConfig(), sampling=likeliest)) as world:
            wishes = [
                TextWish(("The",), max_tokens=20, sampling=Sampling(seed=seed), left_out=frozenset({"temperature"}))
                for seed in (1, 2)
            ]
            texts = [await Reader(world.model, wish).text() for wish in wishes]
            greedy = await Reader(world.model, TextWish(("The",), max_tokens=20, sampling=GREEDY)).text()
        assert texts == [greedy, greedy]

    asyncio.run(test())


@pytest.mark.slow
def test_a_response_tells_the_way_it_was_written(tmp_path: Path) -> None:
    write_text_model(tmp_path, "words", toml="[text.sampling]\ntemperature = 0.25")
    with running_server(tmp_path) as server:
        asked = {"model": "words", "input": "Hi"}
        assert server.post_json("/v1/responses", asked).json()["temperature"] == 0.25
        assert server.post_json("/v1/responses", {**asked, "temperature": 0.5}).json()["temperature"] == 0.5
