"""`openai`'s client, unchanged, against `/v1/responses` of a running server."""

from typing import Any

import openai
import pytest
from pydantic import BaseModel
from tests.running_server import RunningServer

pytestmark = pytest.mark.slow

ADD: Any = {  # Any: the client's types have no name for a plain dict
    "type": "function",
    "name": "add",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    },
}


class Reading(BaseModel):
    """A form an answer is held to."""

    place: str
    degrees: int


def test_an_answer_is_the_same_whole_and_streamed(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="words", input="hi", temperature=0, instructions="Be brief.")
    assert (whole.status, whole.output_text.endswith(".")) == ("completed", True)
    with client.responses.stream(model="words", input="hi", temperature=0, instructions="Be brief.") as stream:
        kinds, text = [], ""
        for event in stream:
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                text += event.delta
        final = stream.get_final_response()
    assert final.output_text == text == whole.output_text
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert final.usage is not None
    assert whole.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens) == (
        whole.usage.input_tokens,
        whole.usage.output_tokens,
    )


def test_an_answer_cut_short_is_incomplete(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="words", input="hi", max_output_tokens=3)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_a_question_goes_on_from_an_answer_that_was_kept(client: openai.OpenAI) -> None:
    first = client.responses.create(model="words", input="hi", temperature=0)
    second = client.responses.create(model="words", input="go on", previous_response_id=first.id)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens
    assert client.responses.retrieve(first.id).output_text == first.output_text
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError, match="send the conversation in input"):
        client.responses.create(model="words", input="go on", previous_response_id=first.id)


def test_an_answer_that_was_not_to_be_kept_is_not(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="words", input="hi", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)


def test_a_tool_is_called_and_answers(client: openai.OpenAI) -> None:
    with client.responses.stream(model="words", input="call add", tools=[ADD]) as stream:
        final = stream.get_final_response()
    (call,) = final.output
    assert call.type == "function_call"
    assert (call.name, call.parsed_arguments) == ("add", {"a": 1})
    items: Any = [
        {"role": "user", "content": "call add"},
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "2"},
    ]
    again = client.responses.create(model="words", input=items, tools=[ADD])
    assert again.output_text


def test_parse_gives_a_pydantic_object(client: openai.OpenAI) -> None:
    parsed = client.responses.parse(model="words", input="hi", text_format=Reading)
    assert isinstance(parsed.output_parsed, Reading)


def test_logprobs(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="words", input="hi", top_logprobs=2, max_output_tokens=3)
    message = answer.output[0]
    assert message.type == "message"
    content = message.content[0]
    assert content.type == "output_text"
    assert content.logprobs is not None
    assert [len(token.top_logprobs) for token in content.logprobs] == [2, 2, 2]


def test_what_the_server_does_not_do_is_refused_with_a_reason(text_server: RunningServer) -> None:
    for key, value in (("background", True), ("reasoning", {"effort": "low"}), ("conversation", "conv_1")):
        reply = text_server.post_json("/v1/responses", {"model": "words", "input": "hi", key: value})
        assert (reply.status, reply.json()["error"]["param"]) == (400, key)
