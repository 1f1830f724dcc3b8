"""A server answers /v1/embeddings by the engine `encoder`."""

from collections.abc import Iterator

import numpy as np
import openai
import pytest
from tests.llm.encoder.test_encoder_engine import tiny_folder
from tests.running_server import RunningServer, running_server

from hekla.samples.manifest import sample_models

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = tmp_path_factory.mktemp("repository")
    tiny_folder(repository / "embed" / "1")
    recipe = sample_models()["embed"].recipe / "model.toml"
    (repository / "embed" / "model.toml").write_text(recipe.read_text())
    with running_server(repository) as running:
        yield running


def test_the_sample_s_recipe_answers_openai_s_client(server: RunningServer) -> None:
    with openai.OpenAI(base_url=f"{server.http_url}/v1", api_key="none", max_retries=0) as client:
        found = client.embeddings.create(model="embed", input=["the cat sat", "a mat"])
        assert found.usage.prompt_tokens == 5 + 4
        vectors = np.array([row.embedding for row in found.data])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
        alone = client.embeddings.create(model="embed", input="a mat").data[0].embedding
        assert alone == vectors[1].tolist()


def test_a_text_that_is_too_long_is_refused_with_its_place(server: RunningServer) -> None:
    entry = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["fine", "cat " * 30]}
    reply = server.post_json("/v2/models/embed/infer", {"inputs": [entry]})
    assert reply.status == 413
    assert "text[1]: the limit is 12 tokens, got 32" in reply.error
