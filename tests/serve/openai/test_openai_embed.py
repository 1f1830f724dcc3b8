"""`openai`'s client against the real sentence embedding model. Needs the pulled samples."""

import base64
from collections.abc import Iterator

import numpy as np
import openai
import pytest
from tests.running_server import RunningServer, running_server
from tests.samples.sample_repository import version_folder

from hekla.protocols.tensor import Array

pytestmark = pytest.mark.slow

_TEXTS = ["a cat sat on the mat", "a kitten on a rug", "quarterly revenue fell", "grüße"]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(version_folder("embed").parents[1]) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.http_url}/v1", api_key="none", max_retries=0) as made:
        yield made


def _vectors(client: openai.OpenAI, texts: list[str], dimensions: int | None = None) -> Array:
    options = {} if dimensions is None else {"dimensions": dimensions}
    answer = client.embeddings.create(model="embed", input=texts, **options)  # type: ignore[arg-type]  # one option
    return np.array([item.embedding for item in answer.data], np.float32)


def test_vectors_are_of_length_one_and_near_where_texts_are(client: openai.OpenAI) -> None:
    vectors = _vectors(client, _TEXTS)
    assert vectors.shape == (4, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    similar = vectors @ vectors.T
    assert similar[0, 1] > 0.5 > 0.2 > similar[0, 2]


def test_a_text_has_the_same_vector_alone_and_among_others(client: openai.OpenAI) -> None:
    together = _vectors(client, _TEXTS)
    alone = np.concatenate([_vectors(client, [text]) for text in _TEXTS])
    assert np.allclose(together, alone, atol=1e-5)


def test_base64_carries_the_numbers_that_json_spells(server: RunningServer) -> None:
    def asked(form: str) -> object:
        body = {"model": "embed", "input": _TEXTS[0], "encoding_format": form}
        return server.post_json("/v1/embeddings", body).json()["data"][0]["embedding"]

    packed, spelled = asked("base64"), asked("float")
    assert isinstance(packed, str)
    assert np.frombuffer(base64.b64decode(packed), "<f4").tolist() == np.array(spelled, np.float32).tolist()


def test_fewer_dimensions_are_the_first_ones_made_length_one(client: openai.OpenAI) -> None:
    cut = _vectors(client, _TEXTS)[:, :8]
    assert np.allclose(_vectors(client, _TEXTS, 8), cut / np.linalg.norm(cut, axis=1, keepdims=True), atol=1e-6)


def test_tokens_are_counted(client: openai.OpenAI) -> None:
    usage = client.embeddings.create(model="embed", input=["a cat", "a kitten"]).usage
    assert (usage.prompt_tokens, usage.total_tokens) == (8, 8)  # [CLS] a cat [SEP], [CLS] a kitten [SEP]


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"model": "ocr"}, openai.BadRequestError, "the model 'ocr' does not make embeddings"),
        ({"model": "embedd"}, openai.NotFoundError, "did you mean 'embed'?"),
        ({"dimensions": 385}, openai.BadRequestError, "the model has 384 dimensions, not 385"),
        ({"encoding_format": "int8"}, openai.BadRequestError, "must be 'float' or 'base64', got 'int8'"),
        ({"input": ["x"] * 2049}, openai.APIStatusError, "the limit is 2048 texts, got 2049"),
        ({"input": [1, 2]}, openai.BadRequestError, "token numbers are another model's vocabulary"),
        ({"extra_body": {"dimension": 4}}, openai.BadRequestError, "unrecognized argument 'dimension'; did you mean"),
    ],
)
def test_a_bad_request_is_refused_as_openai_does(
    client: openai.OpenAI, options: dict[str, object], kind: type[openai.APIStatusError], words: str
) -> None:
    request = {"model": "embed", "input": "a cat", **options}
    with pytest.raises(kind) as caught:
        client.embeddings.create(**request)  # type: ignore[arg-type]  # wrong on purpose
    assert words in caught.value.message
