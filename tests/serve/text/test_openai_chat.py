"""`openai`'s client, unchanged, against chats of a running server."""

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel
from tests.running_server import RunningServer

pytestmark = pytest.mark.slow

# Any: requests as plain dicts, which the client's types have no name for.
Request = dict[str, Any]

HI: Any = [{"role": "user", "content": "hi"}]
ADD: Any = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
PARAGRAPH = "The quick brown fox jumps over the lazy dog."


def test_an_answer_is_the_same_whole_and_streamed(client: openai.OpenAI) -> None:
    asked: Request = {"model": "words", "messages": HI, "temperature": 0, "stop": ["fox"]}
    whole: Any = client.chat.completions.create(**asked)
    assert whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(pieces) == final.choices[0].message.content == whole.choices[0].message.content
    assert final.choices[0].finish_reason == "stop"
    assert final.usage is not None
    assert final.usage.completion_tokens == whole.usage.completion_tokens
    assert final.usage.prompt_tokens == whole.usage.prompt_tokens


def test_the_second_turn_finds_the_first_in_the_cache(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "system", "content": "Be brief, and be so in every answer. " * 3}, *HI]
    first = client.chat.completions.create(model="words", messages=messages, temperature=0)
    messages += [{"role": "assistant", "content": first.choices[0].message.content or ""}]
    messages += [{"role": "user", "content": "go on"}]
    second = client.chat.completions.create(model="words", messages=messages, temperature=0)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.prompt_tokens_details is not None
    cached = second.usage.prompt_tokens_details.cached_tokens
    assert cached is not None
    assert first.usage.prompt_tokens - 16 <= cached < second.usage.prompt_tokens


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_tool_is_called_and_answers(client: openai.OpenAI, is_stream: bool) -> None:
    asked: Request = {"model": "words", "messages": [{"role": "user", "content": "call add"}], "tools": [ADD]}
    if is_stream:
        with client.chat.completions.stream(**asked) as stream:
            deltas = [e for e in stream if e.type == "tool_calls.function.arguments.delta"]
            answer: Any = stream.get_final_completion()
        assert "".join(event.arguments_delta for event in deltas) == '{"a": 1, "b": 1}'
    else:
        answer = client.chat.completions.create(**asked)
    (choice,) = answer.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("add", {"a": 1, "b": 1})
    result = {"role": "tool", "tool_call_id": call.id, "content": "2"}
    messages: Any = [*asked["messages"], choice.message.model_dump(exclude_none=True), result]
    again = client.chat.completions.create(model="words", messages=messages, tools=[ADD])
    assert again.choices[0].finish_reason == "stop"


def test_tool_choice_names_demands_and_forbids(client: openai.OpenAI) -> None:
    def reason(choice: Any) -> str:
        answer = client.chat.completions.create(model="words", messages=HI, tools=[ADD], tool_choice=choice)
        return str(answer.choices[0].finish_reason)

    assert reason("auto") == "stop"
    assert reason("none") == "stop"
    assert reason("required") == "tool_calls"
    assert reason({"type": "function", "function": {"name": "add"}}) == "tool_calls"


class Reading(BaseModel):
    """A form an answer is held to."""

    place: str
    degrees: int
    is_dry: bool


def test_parse_gives_a_pydantic_object(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(model="words", messages=HI, response_format=Reading)
    assert isinstance(parsed.choices[0].message.parsed, Reading)
    with client.chat.completions.stream(model="words", messages=HI, response_format=Reading) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Reading)


def test_with_tools_a_form_holds_the_answer_that_is_no_call(client: openai.OpenAI) -> None:
    body: Any = {"model": "words", "tools": [ADD], "response_format": {"type": "json_object"}}
    answer = client.chat.completions.create(**body, messages=HI).choices[0]
    assert answer.finish_reason == "stop"
    assert isinstance(json.loads(answer.message.content or ""), dict)
    ask: Any = [{"role": "user", "content": "Please call add"}]
    assert client.chat.completions.create(**body, messages=ask).choices[0].finish_reason == "tool_calls"


def test_json_objects_and_choices_are_held_to(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="words", messages=HI, response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)
    chosen = client.chat.completions.create(
        model="words",
        messages=HI,
        extra_body={"structured_outputs": {"choice": ["yes", "no"]}},
    )
    assert chosen.choices[0].message.content in ("yes", "no")


@pytest.mark.parametrize("is_stream", [False, True])
def test_logprobs_are_of_the_tokens_shown(client: openai.OpenAI, is_stream: bool) -> None:
    asked: Request = {"model": "words", "messages": HI, "logprobs": True, "top_logprobs": 3, "seed": 1}
    if is_stream:
        with client.chat.completions.stream(**asked) as stream:
            choice: Any = stream.get_final_completion().choices[0]
    else:
        choice = client.chat.completions.create(**asked).choices[0]
    assert choice.logprobs is not None
    scored = choice.logprobs.content
    assert b"".join(bytes(token.bytes) for token in scored).decode() == choice.message.content
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 3 for token in scored)
    assert all(token.top_logprobs[0].logprob >= token.logprob for token in scored)


def test_n_answers_differ_and_a_seed_repeats_them(client: openai.OpenAI) -> None:
    def texts(is_stream: bool) -> list[str | None]:
        asked: Request = {"model": "words", "messages": HI, "n": 5, "seed": 11, "temperature": 1.5}
        if is_stream:
            with client.chat.completions.stream(**asked) as stream:
                return [choice.message.content for choice in stream.get_final_completion().choices]
        answer = client.chat.completions.create(**asked)
        assert [choice.index for choice in answer.choices] == list(range(5))
        return [choice.message.content for choice in answer.choices]

    first = texts(False)
    assert len(set(first)) > 1
    assert first == texts(False) == texts(True)


def test_characters_of_several_tokens_come_whole(client: openai.OpenAI) -> None:
    completion = client.completions.create(model="words", prompt="Gr", temperature=0, max_tokens=60, stream=True)
    pieces = [chunk.choices[0].text for chunk in completion]
    assert "".join(pieces) == "üße aus Wien, wo der Kaffee kräftig ist."


def test_several_prompts_of_text_and_of_tokens(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="words", prompt=["The q", "A st"], n=2, temperature=0, max_tokens=4, logprobs=2
    )
    assert [choice.text for choice in answer.choices] == ["uick", "uick", "itch", "itch"]
    assert answer.choices[2].logprobs is not None
    assert answer.choices[2].logprobs.tokens == ["i", "t", "c", "h"]
    assert answer.choices[2].logprobs.text_offset == [0, 1, 2, 3]
    tokens = client.completions.create(model="words", prompt=list(b"The q"), temperature=0, max_tokens=4)
    assert tokens.choices[0].text == "uick"


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"words", "slow", "narrow", "endless"}


def test_tokens_there_and_back(text_server: RunningServer) -> None:
    found = text_server.post_json("/tokenize", {"model": "words", "prompt": "Grüße", "return_token_strs": True}).json()
    assert (found["count"], found["max_model_len"], found["token_strs"][1:3]) == (8, 256, ["G", "r"])
    back = text_server.post_json("/detokenize", {"model": "words", "tokens": found["tokens"][1:]}).json()
    assert back == {"prompt": "Grüße"}
    chat = text_server.post_json("/tokenize", {"model": "words", "messages": HI}).json()
    assert chat["count"] == 6
