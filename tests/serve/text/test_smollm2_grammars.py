"""Grammars of a real language model on the running server: whose fault it is when one cannot be kept to."""

import queue
import shutil
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import tritonclient.grpc as triton
from tests.running_server import RunningServer, running_server
from tests.samples.sample_repository import version_folder
from tests.serve.text.sse_client import reading
from tests.serve.text.test_text_over_grpc import inputs

pytestmark = pytest.mark.slow

# Any: JSON documents, and the client's types have no name for plain dicts.
MODEL = "smollm2"
ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Name three colours."}]}
HARD = {"structured_outputs": {"grammar": 'start: "a" start'}}  # no text of finite length: seen while it is parsed
PARAM = "structured_outputs.grammar"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = tmp_path_factory.mktemp("models")
    shutil.copytree(version_folder(MODEL).parent, repository / MODEL)
    with running_server(repository) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.http_url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_a_grammar_that_becomes_too_hard_is_the_request_s_fault(server: RunningServer) -> None:
    completion = {"model": MODEL, "prompt": "Name", **HARD}
    for path, document in (("/v1/chat/completions", ASK | HARD), ("/v1/completions", completion)):
        reply = server.post_json(path, document)
        error = reply.json()["error"]
        assert (reply.status, error["type"], error["param"]) == (400, "invalid_request_error", PARAM), reply
        assert "the grammar became too hard" in error["message"]
    assert server.post_json("/v1/chat/completions", ASK | {"max_tokens": 2}).status == 200


def test_a_stream_ends_with_it_as_the_request_s_error(server: RunningServer) -> None:
    with reading(server, "/v1/chat/completions", ASK | HARD) as reader:
        assert reader.status == 200
        error = list(reader.events())[-1]["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", PARAM)
    assert "the grammar became too hard" in error["message"]


def test_a_response_fails_by_the_word_of_its_own_route(client: openai.OpenAI) -> None:
    body: dict[str, Any] = {"model": MODEL, "input": "Name", "extra_body": HARD}
    with pytest.raises(openai.BadRequestError, match="the grammar became too hard"):
        client.responses.create(**body)
    last = list(client.responses.create(**body, stream=True))[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "invalid_prompt"


def test_over_grpc_it_is_an_invalid_argument(server: RunningServer) -> None:
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with triton.InferenceServerClient(server.grpc_address) as caller:
        tensors = inputs("Name", False, max_tokens=8000, **HARD)
        with pytest.raises(triton.InferenceServerException, match="the grammar became too hard") as caught:
            caller.infer(MODEL, tensors)
        assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
        caller.start_stream(lambda result, error: answers.put((result, error)))
        caller.async_stream_infer(MODEL, inputs("Name", True, max_tokens=8000, **HARD))
        _, error = answers.get(timeout=30)
        assert "the grammar became too hard" in str(error)
        caller.stop_stream()


def test_the_metrics_count_it_as_the_callers(server: RunningServer) -> None:
    before = server.metric("hekla_request_failures_total", model=MODEL, reason="input")
    server.post_json("/v1/chat/completions", ASK | HARD)
    assert server.metric("hekla_request_failures_total", model=MODEL, reason="input") == before + 1
