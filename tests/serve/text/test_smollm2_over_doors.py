"""A real language model behind every door: SmolLM2 on the running server. Needs the pulled sample."""

import json
import queue
import shutil
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import tritonclient.grpc as triton
from pydantic import BaseModel
from tests.running_server import RunningServer, running_server
from tests.samples.sample_repository import version_folder
from tests.serve.text.sse_client import reading, wait_for
from tests.serve.text.test_text_over_grpc import inputs, streamed, text_of

pytestmark = pytest.mark.slow

MODEL = "smollm2"
ASK: Any = [{"role": "user", "content": "Name three colours."}]  # Any: the client's types have no name for plain dicts


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of this model alone."""
    repository = tmp_path_factory.mktemp("models")
    shutil.copytree(version_folder(MODEL).parent, repository / MODEL)
    with running_server(repository) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.http_url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_an_answer_is_the_same_whole_streamed_and_from_completions(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": ASK, "temperature": 0, "max_tokens": 24}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    stream = client.chat.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == whole
    response = client.responses.create(model=MODEL, input=ASK[0]["content"], temperature=0, max_output_tokens=24)
    assert response.output_text == whole


def test_the_second_turn_costs_only_its_new_tokens(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model=MODEL, messages=ASK, temperature=0, max_tokens=80)
    assert first.usage is not None
    said = {"role": "assistant", "content": first.choices[0].message.content}
    again: Any = [*ASK, said, {"role": "user", "content": "And three more."}]
    second = client.chat.completions.create(model=MODEL, messages=again, temperature=0, max_tokens=4)
    assert second.usage is not None
    assert second.usage.prompt_tokens_details is not None
    assert (second.usage.prompt_tokens_details.cached_tokens or 0) >= first.usage.prompt_tokens // 2


def test_a_form_is_held_to(client: openai.OpenAI) -> None:
    class Colour(BaseModel):
        name: str
        is_warm: bool

    schema: Any = {"name": "colour", "schema": {**Colour.model_json_schema(), "additionalProperties": False}}
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Describe the colour red as JSON with name and is_warm."}],
        response_format={"type": "json_schema", "json_schema": schema},
        temperature=0,
        max_tokens=200,
    )
    if answer.choices[0].finish_reason == "stop":
        Colour.model_validate_json(answer.choices[0].message.content or "")
    else:  # a small model may go on and on within what the form allows
        assert (answer.choices[0].message.content or "").lstrip().startswith("{")


def test_a_tool_that_is_demanded_is_called(client: openai.OpenAI) -> None:
    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": parameters}}
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[tool],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        max_tokens=200,
    )
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    call: Any = choice.message.tool_calls[0]
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")


def test_the_same_seed_alone_and_in_a_crowd(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": ASK, "seed": 5, "temperature": 0.8, "max_tokens": 12}
    alone = client.chat.completions.create(**asked).choices[0].message.content
    crowd = client.chat.completions.create(**asked, n=6)
    assert crowd.choices[0].message.content == alone
    assert len({choice.message.content for choice in crowd.choices}) > 1


def test_a_client_that_goes_away_frees_its_pages(server: RunningServer) -> None:
    pages = wait_for(server, MODEL, running=0, waiting=0)["pages"]
    asked = {"model": MODEL, "messages": ASK, "max_tokens": 4000, "ignore_eos": True}
    with reading(server, "/v1/chat/completions", asked) as reader:
        events = reader.events()
        for _ in range(4):
            next(events)
        wait_for(server, MODEL, lambda row: row["free_pages"] < pages, running=1)
    wait_for(server, MODEL, running=0, waiting=0, free_pages=pages)


def test_a_prompt_over_the_context_is_refused_with_both_numbers(server: RunningServer) -> None:
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "one two " * 6000}]}
    reply = server.post_json("/v1/chat/completions", chat)
    error = reply.json()["error"]
    assert (reply.status, error["code"]) == (413, "context_length_exceeded")
    assert "8192 tokens" in error["message"]


def test_a_grammar_that_cannot_be_is_refused(server: RunningServer) -> None:
    for key, value in (("regex", "(("), ("json", {"type": "strnig"}), ("grammar", "start: nothing")):
        chat = {"model": MODEL, "messages": ASK, "structured_outputs": {key: value}}
        reply = server.post_json("/v1/chat/completions", chat)
        assert (reply.status, reply.json()["error"]["param"]) == (400, f"structured_outputs.{key}"), reply


def test_a_tool_whose_parameters_cannot_be_is_refused(server: RunningServer) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "strnig"}}}
    reply = server.post_json(
        "/v1/chat/completions", {"model": MODEL, "messages": ASK, "tools": [tool], "tool_choice": "required"}
    )
    assert (reply.status, reply.json()["error"]["param"]) == (400, "tools"), reply


def test_a_control_token_in_a_message_is_text(server: RunningServer) -> None:
    plain = {"model": MODEL, "messages": [{"role": "user", "content": "<|im_end|>"}]}
    assert (
        server.post_json("/tokenize", plain).json()["count"]
        > server.post_json("/tokenize", {**plain, "messages": [{"role": "user", "content": "x"}]}).json()["count"]
    )


def test_pieces_come_over_grpc(server: RunningServer) -> None:
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with triton.InferenceServerClient(server.grpc_address) as client:
        found = streamed(client, answers, MODEL, inputs("The sky is", True, temperature=0, max_tokens=12))
        whole = client.infer(MODEL, inputs("The sky is", False, temperature=0, max_tokens=12))
    assert len(found) >= 10
    assert "The sky is" + "".join(map(text_of, found)) == text_of(whole)
