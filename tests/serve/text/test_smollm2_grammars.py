"""Grammars of a real language model on the running server: whose fault they are, and forms beside tools."""

import json
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


# A form and tools

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Berlin", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "is_warm": {"type": "boolean"}},
    "required": ["name", "is_warm"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "colour", "schema": SCHEMA}}

BOTH: dict[str, Any] = {"model": MODEL, "tools": [WEATHER], "temperature": 0, "max_tokens": 200}


def first_token(server: RunningServer, text: str) -> str:
    """Return the number of the token that a text begins with."""
    reply = server.post_json("/tokenize", {"model": MODEL, "prompt": text, "add_special_tokens": False})
    return str(reply.json()["tokens"][0])


def asked(server: RunningServer, opening: str, **more: Any) -> dict[str, Any]:
    """Return a request for the weather whose answer begins as given, by a bias of its first token."""
    messages = [{"role": "user", "content": "How is the weather in Rome?"}]
    return {**BOTH, "messages": messages, "logit_bias": {first_token(server, opening): 100}, **more}


@pytest.mark.parametrize("seed", range(4))
def test_an_answer_that_is_no_call_has_the_form(server: RunningServer, client: openai.OpenAI, seed: int) -> None:
    body = asked(server, '{"', response_format=FORM, temperature=1.5, seed=seed)
    (choice,) = client.chat.completions.create(**body).choices
    assert choice.finish_reason == "stop"
    assert choice.message.tool_calls is None
    found = json.loads(choice.message.content or "")
    assert found.keys() == {"name", "is_warm"}
    assert isinstance(found["is_warm"], bool)


@pytest.mark.parametrize("seed", range(4))
def test_an_answer_that_is_a_call_obeys_its_tool(server: RunningServer, client: openai.OpenAI, seed: int) -> None:
    body = asked(server, "<tool_call>", response_format=FORM, temperature=1.5, seed=seed, parallel_tool_calls=False)
    (choice,) = client.chat.completions.create(**body).choices
    assert choice.finish_reason == "tool_calls"
    assert not choice.message.content
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in ("Berlin", "Rome")


def test_without_a_bias_it_is_one_or_the_other_streamed_too(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Call the tool weather for Berlin."}]
    for seed in range(6):
        content, arguments, reason = "", "", None
        body: Any = {**BOTH, "temperature": 1.0, "messages": messages, "response_format": FORM, "seed": seed}
        stream = client.chat.completions.create(**body, stream=True)
        for chunk in stream:
            delta = chunk.choices[0].delta
            content += delta.content or ""
            arguments += "".join((call.function and call.function.arguments) or "" for call in delta.tool_calls or ())
            reason = chunk.choices[0].finish_reason or reason
        if reason == "tool_calls":
            assert not content
            assert '"city"' in arguments
        else:
            assert not arguments
            assert reason == "length" or json.loads(content).keys() == {"name", "is_warm"}


def test_responses_take_both(server: RunningServer, client: openai.OpenAI) -> None:
    flat: Any = {"type": "function", **WEATHER["function"], "strict": False}  # type: ignore[dict-item]  # a dict
    form: Any = {"format": {"type": "json_schema", "name": "colour", "schema": SCHEMA}}
    bias = {"logit_bias": {first_token(server, '{"'): 100}}
    found = client.responses.create(model=MODEL, input="Red?", tools=[flat], text=form, extra_body=bias)
    assert json.loads(found.output_text).keys() == {"name", "is_warm"}


def test_a_demanded_tool_is_called_whatever_the_form(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Red?"}]
    body: Any = {**BOTH, "messages": messages, "response_format": FORM, "tool_choice": "required"}
    (choice,) = client.chat.completions.create(**body, parallel_tool_calls=False).choices
    assert choice.message.tool_calls
    (choice,) = client.chat.completions.create(**body | {"tool_choice": "none"}).choices
    assert json.loads(choice.message.content or "").keys() == {"name", "is_warm"}


@pytest.mark.parametrize("tool_choice", ["auto", "required"])
def test_what_is_wrong_with_one_of_them_is_told_of_that_one(server: RunningServer, tool_choice: str) -> None:
    wrong = {"type": "strnig"}
    form = {"type": "json_schema", "json_schema": {"name": "colour", "schema": wrong}}
    tool = {"type": "function", "function": {"name": "f", "parameters": wrong}}
    document = {**BOTH, "messages": [{"role": "user", "content": "x"}], "tool_choice": tool_choice}
    for more, param in (
        ({"response_format": form}, "response_format.json_schema.schema"),
        ({"response_format": FORM, "tools": [tool]}, "tools"),
    ):
        reply = server.post_json("/v1/chat/completions", document | more)
        assert (reply.status, reply.json()["error"]["param"]) == (400, param), reply
