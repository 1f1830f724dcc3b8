"""`POST /v1/responses`: what a client may ask. Its items become chat messages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hekla.base.errors import InputError, quoted
from hekla.serve.http.message import Exchange
from hekla.serve.openai.chat_request import HINTS, SHARED, one_structure, read_model, read_stream, read_wish
from hekla.serve.openai.conversation import content_text, read_function, read_tool_choice
from hekla.serve.openai.fields import Fields, Json, object_at, read_body, text_at
from hekla.serve.openai.sampling import KEYS, MOST_TOKENS, Structure, read_structure, schema_structure
from hekla.serve.text.wish import Conversation, TextWish

_MOST_ITEMS = 16_384
_PARTS = ("input_text", "output_text", "text")
_MESSAGE = ("type", "role", "content", "id", "status", "phase")
_REFUSED = {
    "background": "is not done: answers are written while the client waits",
    "conversation": "is not kept here",
    "context_management": "is not done",
    "include": "is not done",
    "max_tool_calls": "is not done: the server calls no tools itself",
    "moderation": "is not taken: the server moderates nothing",
    "prompt": "is not known: no prompts are stored here",
    "reasoning": "is not taken: no model here reasons apart from its answer",
    "image": "is not written by this model, which writes text",
    "access_programs": "is not known here",
}
_KEYS = (
    *SHARED,
    *HINTS,
    *KEYS,
    *("input", "instructions", "max_output_tokens", "parallel_tool_calls", "previous_response_id", "store", "text"),
    *("tool_choice", "tools", "top_logprobs", "truncation", "chat_template_kwargs"),
    *_REFUSED,
)


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """What a client asked for."""

    model: str
    wish: TextWish
    is_stream: bool
    messages: list[Json]  # the whole conversation less the instructions, which the next turn may change
    tools: tuple[Json, ...]  # those the model may call, as chats have them
    is_stored: bool
    may_call_once: bool  # `parallel_tool_calls` is false
    asked: Json  # what the answer's document repeats


# Returns the messages of an earlier answer and its question. Errors: NotFoundError.
Recall = Callable[[str], Sequence[Json]]


def read_responses(exchange: Exchange, recall: Recall) -> ResponsesRequest:
    """Return the request in a body. Errors: InputError with the JSON path; NotFoundError; TooLargeError."""
    document = read_body(exchange.body)
    fields = Fields(document, "$", _KEYS)
    model = read_model(fields)
    for key, reason in _REFUSED.items():
        fields.refuse(key, ([], False), reason)
    earlier = list(recall(fields.text("previous_response_id"))) if fields.has("previous_response_id") else []
    messages = [*earlier, *_input(fields)]
    tools = _tools(fields)
    tool_choice = read_tool_choice(fields, tools)
    callable_tools = () if tool_choice == "none" else tuple(tools)
    structure = one_structure(_format(fields), read_structure(fields))
    instructions = fields.text("instructions")
    head = [{"role": "system", "content": instructions}] if instructions else []
    is_stream, _ = _read_stream(fields)
    parallel = fields.boolean("parallel_tool_calls", True)
    top_logprobs = fields.whole("top_logprobs", 0, 20)
    truncation = fields.choice("truncation", ("auto", "disabled"), "disabled")
    max_tokens = fields.whole("max_output_tokens", 1, MOST_TOKENS)
    wish = TextWish(
        prompts=(Conversation([*head, *messages], tuple(tools), tool_choice, fields.mapping("chat_template_kwargs")),),
        max_tokens=max_tokens,
        truncation="oldest" if truncation == "auto" else "refuse",
        where="$.input",
        **read_wish(fields, exchange, structure, top_logprobs),
    )
    asked = {
        "instructions": instructions or None,
        "max_output_tokens": max_tokens,
        "metadata": fields.mapping("metadata") or {},
        "parallel_tool_calls": parallel,
        "previous_response_id": fields.raw("previous_response_id"),
        "temperature": wish.sampling.temperature,  # or the model's own, which is not known here
        "top_p": wish.sampling.top_p,
        "text": fields.mapping("text") or {"format": {"type": "text"}},
        "tool_choice": fields.raw("tool_choice") or "auto",
        "tools": fields.raw("tools") or [],
        "truncation": truncation,
        "user": fields.raw("user"),
    }
    is_stored = fields.boolean("store", True)
    return ResponsesRequest(model, wish, is_stream, messages, callable_tools, is_stored, not parallel, asked)


def _read_stream(fields: Fields) -> tuple[bool, bool]:
    options = fields.fields("stream_options", ("include_obfuscation", "include_usage"))
    return (fields.boolean("stream"), False) if options is not None else read_stream(fields)


def _tools(fields: Fields) -> list[Json]:
    """Return tools as chats have them; here name and parameters stand beside the type."""
    tools: list[Json] = []
    for at, item in enumerate(fields.listed("tools", 512)):
        where = f"$.tools[{at}]"
        tool = Fields(object_at(item, where), where, ("type", "name", "description", "parameters", "strict"))
        if tool.raw("type") != "function":
            raise tool.error("type", f"is {quoted(tool.raw('type'))}", "the server calls no tools itself: 'function'")
        tools.append(read_function(tool, tools))
    return tools


def _format(fields: Fields) -> Structure:
    text = fields.fields("text", ("format", "verbosity"))
    if text is None:
        return Structure()
    text.refuse("verbosity", (), "is not taken: say it in the instructions")
    form = text.fields("format", ("type", "name", "schema", "strict", "description"))
    if form is None:
        return Structure()
    kind = form.choice("type", ("text", "json_object", "json_schema"), "text")
    if kind == "text":
        return Structure()
    if kind == "json_object":
        from_key = Fields({"structured_outputs": {"json_object": True}}, "$", ("structured_outputs",))
        return Structure(read_structure(from_key).grammar, form.where)
    form.needed_text("name", "a name")
    return schema_structure(form)


def _input(fields: Fields) -> list[Json]:
    value = fields.raw("input")
    if isinstance(value, str):
        return [{"role": "user", "content": text_at(value, "$.input")}]
    items = fields.listed("input", _MOST_ITEMS)
    if not items:
        raise fields.error("input", "must be a text or a list of items that is not empty")
    messages: list[Json] = []
    for at, item in enumerate(items):
        _add_item(object_at(item, f"$.input[{at}]"), f"$.input[{at}]", messages)
    return messages


def _add_item(item: Json, where: str, messages: list[Json]) -> None:
    """Add an item as a message. Errors: InputError for one that is not known."""
    kind = item.get("type", "message")
    if kind == "message":
        fields = Fields(item, where, _MESSAGE)
        role = fields.choice("role", ("user", "assistant", "system", "developer"), "")
        if not role:
            raise fields.error("role", "must be 'user', 'assistant', 'system' or 'developer'")
        role = "system" if role == "developer" else role  # few templates know the newer word
        messages.append({"role": role, "content": content_text(item.get("content"), f"{where}.content", _PARTS)})
    elif kind == "function_call":
        keys = ("type", "id", "call_id", "name", "arguments", "status", "namespace", "parsed_arguments", "caller")
        fields = Fields(item, where, keys)
        call = {
            "id": fields.needed_text("call_id", "the call's id"),
            "type": "function",
            "function": {
                "name": fields.needed_text("name", "a name"),
                "arguments": fields.text("arguments", "{}") or "{}",
            },
        }
        last = messages[-1] if messages else {}
        if last.get("role") == "assistant":
            last.setdefault("tool_calls", []).append(call)
        else:
            messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
    elif kind == "function_call_output":
        fields = Fields(item, where, ("type", "id", "call_id", "output", "status", "name", "caller"))
        content = content_text(item.get("output"), f"{where}.output", _PARTS)
        call_id = fields.needed_text("call_id", "the id of the call it answers")
        messages.append({"role": "tool", "content": content, "tool_call_id": call_id})
    elif kind != "reasoning":  # what another model thought is nothing to this one
        cure = "known: message, function_call, function_call_output"
        raise InputError(f"is {quoted(kind)}", where=f"{where}.type", cure=cure)


# Any: JSON
def assistant_message(text: str, calls: Sequence[dict[str, Any]]) -> Json:
    """Return an answer as the message it is in the conversation's next turn."""
    message: Json = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {
                "id": call["call_id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in calls
        ]
    return message
