"""The documents of models that write text, as JSON Schema. Requests are closed; answers may grow."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]  # JSON Schema

_STRING: Json = {"type": "string"}
_BOOLEAN: Json = {"type": "boolean"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_OBJECT: Json = {"type": "object"}
_TOKEN: Json = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_TOKENS: Json = {"type": "integer", "minimum": 1, "maximum": 1 << 24}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(item: Json, **more: object) -> Json:
    return {"type": "array", "items": item, **more}


def _number(low: float, high: float) -> Json:
    return {"type": "number", "minimum": low, "maximum": high}


def _request(fields: Mapping[str, Json], needs: list[str]) -> Json:
    return {"type": "object", "properties": dict(fields), "required": needs, "additionalProperties": False}


def _answer(fields: Mapping[str, Json]) -> Json:
    return {"type": "object", "properties": dict(fields), "required": list(fields)}


def _said(schema: Json, text: str) -> Json:
    return {**schema, "description": text}


_SHARED: Mapping[str, Json] = {
    "model": _said(_STRING, "a model's name, or name:adapter"),
    "stream": _BOOLEAN,
    "stream_options": _request({"include_usage": _BOOLEAN, "include_obfuscation": _BOOLEAN}, []),
    "metadata": _OBJECT,
    "service_tier": {"type": "string", "enum": ["auto", "default"]},
    "safety_identifier": _STRING,
    "prompt_cache_key": _STRING,
    "temperature": _number(0, 2),
    "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "top_k": {"type": "integer", "minimum": -1, "maximum": 1 << 24},
    "min_p": _number(0, 1),
    "repetition_penalty": _number(0.01, 100),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "logit_bias": {
        "type": "object",
        "additionalProperties": _number(-100, 100),
        "propertyNames": {"pattern": "^[0-9]{1,9}$"},
    },
    "seed": {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1},
    "stop": {"anyOf": [{"type": "string", "minLength": 1}, _list({"type": "string", "minLength": 1}, maxItems=16)]},
    "stop_token_ids": _list(_TOKEN, maxItems=1024),
    "ignore_eos": _said(_BOOLEAN, "go on past the model's own end"),
    "priority": _said({"type": "integer", "minimum": 1}, "1 comes first; the model's default is the middle"),
    "timeout_ms": _said({"type": "integer", "minimum": 1, "maximum": 86_400_000}, "from when the request came"),
    "truncate_prompt_tokens": _said(_TOKENS, "of a longer prompt, only the last tokens are read"),
    "truncation": {"type": "string", "enum": ["auto", "disabled"]},
    "structured_outputs": _said(_OBJECT, "one of json, json_object, regex, choice, grammar"),
    "user": _said(_STRING, "the tenant, where the header x-hekla-tenant does not say it"),
}
_USAGE = _answer({"prompt_tokens": _COUNT, "completion_tokens": _COUNT, "total_tokens": _COUNT})

TEXT_SCHEMAS: Mapping[str, Json] = {
    "ChatRequest": _request(
        {
            **_SHARED,
            "messages": _list(_ref("ChatMessage"), minItems=1),
            "n": {"type": "integer", "minimum": 1, "maximum": 128},
            "max_tokens": _TOKENS,
            "max_completion_tokens": _TOKENS,
            "logprobs": _BOOLEAN,
            "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
            "response_format": _said(_OBJECT, "type: text, json_object or json_schema"),
            "tools": _list(_OBJECT),
            "tool_choice": {"anyOf": [_STRING, _OBJECT]},
            "parallel_tool_calls": _BOOLEAN,
            "chat_template_kwargs": _OBJECT,
        },
        ["model", "messages"],
    ),
    "ChatMessage": {
        "type": "object",
        "properties": {
            "role": {"type": "string", "enum": ["system", "developer", "user", "assistant", "tool"]},
            "content": {"anyOf": [_STRING, _list(_OBJECT), {"type": "null"}]},
        },
        "required": ["role"],
    },
    "TextUsage": _USAGE,
    "Chat": _answer(
        {
            "id": _STRING,
            "object": {"const": "chat.completion"},
            "created": _COUNT,
            "model": _STRING,
            "choices": _list(_OBJECT),
            "usage": _ref("TextUsage"),
        }
    ),
    "CompletionRequest": _request(
        {
            **_SHARED,
            "prompt": {"anyOf": [_STRING, _list({"anyOf": [_STRING, _TOKEN, _list(_TOKEN, minItems=1)]}, minItems=1)]},
            "n": {"type": "integer", "minimum": 1, "maximum": 128},
            "max_tokens": _TOKENS,
            "logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
            "response_format": _OBJECT,
        },
        ["model", "prompt"],
    ),
    "Completion": _answer(
        {
            "id": _STRING,
            "object": {"const": "text_completion"},
            "created": _COUNT,
            "model": _STRING,
            "choices": _list(_OBJECT),
            "usage": _ref("TextUsage"),
        }
    ),
    "ResponsesRequest": _request(
        {
            **_SHARED,
            "input": {"anyOf": [_STRING, _list(_OBJECT, minItems=1)]},
            "instructions": _STRING,
            "max_output_tokens": _TOKENS,
            "previous_response_id": _STRING,
            "store": _said(_BOOLEAN, "keep the answer, in memory, for a next question (true if left out)"),
            "text": _OBJECT,
            "tools": _list(_OBJECT),
            "tool_choice": {"anyOf": [_STRING, _OBJECT]},
            "parallel_tool_calls": _BOOLEAN,
            "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
            "chat_template_kwargs": _OBJECT,
        },
        ["model", "input"],
    ),
    "ResponsesAnswer": _answer(
        {
            "id": _STRING,
            "object": {"const": "response"},
            "created_at": _COUNT,
            "model": _STRING,
            "status": {"type": "string", "enum": ["completed", "incomplete", "failed"]},
            "output": _list(_OBJECT),
        }
    ),
    "DeletedResponse": _answer({"id": _STRING, "object": {"const": "response"}, "deleted": _BOOLEAN}),
    "TokenizeRequest": _request(
        {
            "model": _STRING,
            "prompt": _STRING,
            "add_special_tokens": _BOOLEAN,
            "return_token_strs": _BOOLEAN,
            "messages": _list(_ref("ChatMessage"), minItems=1),
            "tools": _list(_OBJECT),
            "add_generation_prompt": {"const": True},
            "chat_template_kwargs": _OBJECT,
        },
        ["model"],
    ),
    "Tokenized": _answer(
        {
            "count": _COUNT,
            "max_model_len": _COUNT,
            "tokens": _list(_TOKEN),
            "token_strs": {"anyOf": [_list(_STRING), {"type": "null"}]},
        }
    ),
    "DetokenizeRequest": _request({"model": _STRING, "tokens": _list(_TOKEN)}, ["model", "tokens"]),
    "Detokenized": _answer({"prompt": _STRING}),
    "LoadAdapterRequest": _request(
        {
            "model": _said(_STRING, "may be left out where one model writes text"),
            "lora_name": {"type": "string", "minLength": 1, "maxLength": 128},
            "lora_path": _said({"type": "string", "minLength": 1}, "a folder below the model's version folder"),
        },
        ["lora_name", "lora_path"],
    ),
    "UnloadAdapterRequest": _request(
        {"model": _STRING, "lora_name": {"type": "string", "minLength": 1}}, ["lora_name"]
    ),
    "Adapters": _answer({"id": _said(_STRING, "model:adapter"), "adapters": _list(_STRING)}),
    "SlaBoard": _answer({"models": _list(_OBJECT)}),
}
