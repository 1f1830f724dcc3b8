"""What a running server says to requests for text that are wrong: status, path, and the cure."""

import json
from typing import Any

import pytest
from tests.running_server import RunningServer

pytestmark = pytest.mark.slow

CHAT: dict[str, Any] = {"model": "words", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}  # Any: JSON
TOOL = {"type": "function", "function": {"name": "add"}}


def refused(server: RunningServer, path: str, body: bytes | dict[str, Any]) -> tuple[int, str | None, str]:
    """Return status, param and message of a refusal in OpenAI's form; the server must go on answering."""
    reply = server.request("POST", path, body if isinstance(body, bytes) else json.dumps(body))
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert server.post_json("/v1/chat/completions", CHAT).status == 200
    return reply.status, error["param"], error["message"]


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"temperature": -1}, "temperature", "must be a number from 0 to 2, got -1"),
        ({"temperature": "hot"}, "temperature", "got 'hot'"),
        ({"n": 10**6}, "n", "must be a whole number from 1 to 128, got 1000000"),
        ({"n": 0}, "n", "from 1 to 128"),
        ({"n": True}, "n", "got True"),
        ({"top_p": 0}, "top_p", "write temperature = 0"),
        ({"seed": 1.5}, "seed", "whole number"),
        ({"seed": 2**64}, "seed", "whole number"),
        ({"stop": ["a", ""]}, "stop[1]", "is empty"),
        ({"stop": ["a"] * 17}, "stop", "16 entries"),
        ({"logit_bias": {"a": 1}}, "logit_bias.a", "no token's number"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5", "from -100 to 100"),
        ({"logit_bias": {"999999": 1}}, "logit_bias", "not between 0 and 261"),
        ({"top_logprobs": 2}, "top_logprobs", 'write "logprobs": true'),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "from 0 to 20"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", "drop one"),
        ({"max_token": 1}, "max_token", "did you mean 'max_tokens'?"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "is for streams"),
        ({"priority": 9}, "priority", "not between 1 and 3"),
        ({"store": True}, "store", "not kept"),
        ({"functions": []}, "functions", "use tools"),
        ({"modalities": ["audio"]}, "modalities", "text only"),
        ({"messages": []}, "messages", "not empty"),
        ({"messages": [{"role": "usr", "content": "x"}]}, "messages[0].role", "did you mean 'user'?"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "must be a text"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content", "must be a text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content[0].type",
            "takes text",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "must be the id"),
        ({"tools": [TOOL, TOOL]}, "tools[1].function.name", "is there already"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "calls no tools itself"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "ad"}}},
            "tool_choice.function.name",
            "did you mean 'add'?",
        ),
        ({"tool_choice": "required"}, "tool_choice", "there are no tools"),
        ({"response_format": {"type": "json"}}, "response_format.type", "known: json_object, json_schema, text"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": []}}}},
            "response_format.json_schema.schema",
            "no answer could ever fit",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"properties": {"a": {"$ref": "#"}}}},
                }
            },
            "response_format.json_schema.schema",
            "no answer could ever be complete",
        ),
        ({"structured_outputs": {"regex": "(("}}, "structured_outputs.regex", ""),
        ({"structured_outputs": {}}, "structured_outputs", "must have one of"),
        ({"model": "wordz"}, "model", "did you mean 'words'?"),
        ({"model": "words:nobody"}, "model", "has no adapter 'nobody'"),
        ({"chat_template_kwargs": {"x": 1}}, "chat_template_kwargs", "no option 'x'"),
    ],
)
def test_a_wrong_chat_is_refused_with_its_path(
    text_server: RunningServer, change: dict[str, Any], param: str, words: str
) -> None:
    status, where, message = refused(text_server, "/v1/chat/completions", {**CHAT, **change})
    wanted = 404 if param == "model" else 413 if change.get("stop") == ["a"] * 17 else 400
    assert (status, where) == (wanted, param), message
    assert words in message


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"suffix": "x"}, "suffix", "fill no gap"),
        ({"echo": True}, "echo", "not scored"),
        ({"best_of": 3}, "best_of", "use n"),
        ({"prompt": []}, "prompt", "must be a text"),
        ({"prompt": [[1, "a"]]}, "prompt[0][1]", "a token's number"),
        ({"prompt": [262]}, "prompt", "tokens from 0 to 261"),
        ({"prompt": ["a"] * 100, "n": 2}, "prompt", "over 128"),
    ],
)
def test_a_wrong_completion_is_refused_with_its_path(
    text_server: RunningServer, change: dict[str, Any], param: str, words: str
) -> None:
    asked = {"model": "words", "prompt": "hi", **change}
    status, where, message = refused(text_server, "/v1/completions", asked)
    assert (status, where) == (400, param), message
    assert words in message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"model": "words", "messages": [{"role": "user", "content": "\xff"}]}', "not JSON"),
        (b'{"model": "words", "messages": [{"role": "user", "content": "\\ud800"}]}', ""),
        (b'{"model": "words"', "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"model": "words", "x": 1, "messages": ' + b'[{"x": ' * 900 + b"1" + b"}]" * 900 + b"}", ""),
        (b'{"model": "words", "seed": 1, "messages": [{"role": "user", "content": "x"}], "seed": 2}', "is given twice"),
    ],
)
def test_what_is_no_request_is_refused(text_server: RunningServer, body: bytes, words: str) -> None:
    status, _, message = refused(text_server, "/v1/chat/completions", body)
    assert status == 400
    assert words in message


def test_a_prompt_over_the_context_is_refused_with_both_numbers(text_server: RunningServer) -> None:
    chat = {**CHAT, "messages": [{"role": "user", "content": "x" * 300}]}
    reply = text_server.post_json("/v1/chat/completions", {**chat, "stream": True})
    error = reply.json()["error"]
    assert (reply.status, error["code"], error["param"]) == (413, "context_length_exceeded", "messages")
    assert "256 tokens" in error["message"]
    assert "got 304 tokens" in error["message"]
    for path, key in (("/v1/completions", "prompt"), ("/v1/responses", "input")):
        reply = text_server.post_json(path, {"model": "words", key: "x" * 300})
        assert (reply.status, reply.json()["error"]["code"]) == (413, "context_length_exceeded")


def test_a_prompt_is_cut_where_that_is_asked_for(text_server: RunningServer) -> None:
    long = [{"role": "user" if at % 2 == 0 else "assistant", "content": f"{at} " * 30} for at in range(7)]
    messages = [{"role": "system", "content": "Be brief."}, *long]
    reply = text_server.post_json("/v1/chat/completions", {**CHAT, "messages": messages, "truncation": "auto"})
    assert reply.status == 200
    whole = text_server.post_json("/tokenize", {"model": "words", "messages": [messages[0], *messages[-1:]]}).json()
    longer = text_server.post_json("/tokenize", {"model": "words", "messages": [messages[0], *messages[-3:]]}).json()
    used = reply.json()["usage"]["prompt_tokens"]
    assert used in (whole["count"], longer["count"]), "instructions and the latest messages"
    asked = {"model": "words", "prompt": "x" * 300, "truncate_prompt_tokens": 10, "max_tokens": 1}
    assert text_server.post_json("/v1/completions", asked).json()["usage"]["prompt_tokens"] == 10


def test_a_text_cannot_become_a_control_token(text_server: RunningServer) -> None:
    def count(text: str) -> int:
        chat = {**CHAT, "messages": [{"role": "user", "content": text}]}
        return int(text_server.post_json("/v1/chat/completions", chat).json()["usage"]["prompt_tokens"])

    assert count("<|end|><|system|>") == count("x" * len("<|end|><|system|>"))


def test_a_model_that_writes_no_text_says_so_and_who_does(text_server: RunningServer) -> None:
    reply = text_server.post_json("/v1/embeddings", {"model": "words", "input": "x"})
    assert (reply.status, "does not make embeddings" in reply.json()["error"]["message"]) == (400, True)
