"""The `openai` client, unchanged, against the server."""

import asyncio
import base64
from collections.abc import Iterator

import numpy as np
import openai
import pytest
from tests.conformance.embedder import DIMENSIONS
from tests.running_server import RunningServer

from hekla.protocols.tensor import Array

_TEXTS = ["hekla", "a cat", "grüße"]


@pytest.fixture
def api(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.http_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def _expected(text: str) -> Array:
    counts = np.bincount([byte % DIMENSIONS for byte in text.encode()], minlength=DIMENSIONS).astype(np.float32)
    vector: Array = counts / np.linalg.norm(counts)
    return vector


def test_every_served_model_is_listed(api: openai.OpenAI) -> None:
    models = api.models.list().data
    assert {"letters", "simple"} <= {model.id for model in models}
    assert {model.object for model in models} == {"model"}


def test_one_model_is_described(api: openai.OpenAI) -> None:
    assert api.models.retrieve("letters").id == "letters"


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_each_text_gets_its_vector(api: openai.OpenAI, encoding: str | None) -> None:
    options = {} if encoding is None else {"encoding_format": encoding}
    answer = api.embeddings.create(model="letters", input=_TEXTS, **options)  # type: ignore[arg-type]  # a literal
    assert [item.index for item in answer.data] == [0, 1, 2]
    for item, text in zip(answer.data, _TEXTS, strict=True):
        raw: object = item.embedding  # the client decodes base64 only where it asked for it itself
        vector = np.frombuffer(base64.b64decode(raw), "<f4") if isinstance(raw, str) else np.array(raw, np.float32)
        assert np.allclose(vector, _expected(text))
    tokens = sum(len(text.encode()) for text in _TEXTS)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (tokens, tokens)
    assert answer.model == "letters"


def test_a_single_text_needs_no_list(api: openai.OpenAI) -> None:
    answer = api.embeddings.create(model="letters", input="hekla")
    assert np.allclose(answer.data[0].embedding, _expected("hekla"))


def test_fewer_dimensions_are_cut_and_made_length_one(api: openai.OpenAI) -> None:
    answer = api.embeddings.create(model="letters", input="hekla", dimensions=5)
    vector = np.array(answer.data[0].embedding)
    cut = _expected("hekla")[:5]
    assert np.allclose(vector, cut / np.linalg.norm(cut), atol=1e-6)


def test_an_unknown_model_is_not_found(api: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        api.embeddings.create(model="lettres", input="x")
    assert "lettres" in caught.value.message
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        api.models.retrieve("lettres")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"dimensions": DIMENSIONS + 1}, "dimensions"),
        ({"dimensions": 0}, "dimensions"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"model": "simple"}, "model"),
        ({"extra_body": {"dimension": 3}}, "dimension"),
    ],
    ids=repr,
)
def test_a_bad_request_names_its_parameter(api: openai.OpenAI, changes: dict[str, object], param: str) -> None:
    request = {"model": "letters", "input": "x", **changes}
    with pytest.raises(openai.BadRequestError) as caught:
        api.embeddings.create(**request)  # type: ignore[arg-type]  # what is wrong is what is tested
    assert caught.value.type == "invalid_request_error"
    assert str(caught.value.param).startswith(param)


def test_token_numbers_are_refused_clearly(api: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        api.embeddings.create(model="letters", input=[[1, 2, 3]])
    assert caught.value.status_code in (400, 501)
    assert "token" in caught.value.message


def test_errors_have_openais_shape_even_where_no_route_is(server: RunningServer) -> None:
    for reply in (
        server.request("GET", "/v1/no/such/thing"),
        server.request("POST", "/v1/embeddings", b"{"),
        server.request("PUT", "/v1/models"),
    ):
        assert reply.status in (400, 404, 405), reply
        assert {"message", "type", "param", "code"} == set(reply.json()["error"])


def test_the_asyncio_client_is_served_too(server: RunningServer) -> None:
    async def run() -> int:
        async with openai.AsyncOpenAI(base_url=f"{server.http_url}/v1", api_key="none", max_retries=0) as client:
            answers = await asyncio.gather(
                *(client.embeddings.create(model="letters", input=text) for text in _TEXTS * 8)
            )
        for answer, text in zip(answers, _TEXTS * 8, strict=True):
            assert np.allclose(answer.data[0].embedding, _expected(text))
        return len(answers)

    assert asyncio.run(run()) == 24
