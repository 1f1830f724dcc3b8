"""Chat messages and tools, checked: what comes out of here is what a model's template may rely on."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hekla.base.errors import InputError, nearest_name, quoted
from hekla.serve.openai.fields import Fields, Json, object_at, text_at
from hekla.serve.text.wish import ToolChoice

_MOST_MESSAGES = 16_384
_MOST_TOOLS = 512
_ROLES = ("system", "developer", "user", "assistant", "tool")
_KEYS: Mapping[str, tuple[str, ...]] = {
    "system": ("role", "content", "name"),
    "developer": ("role", "content", "name"),
    "user": ("role", "content", "name"),
    "assistant": (
        *("role", "content", "name", "tool_calls", "refusal", "annotations", "audio", "function_call"),
        *("reasoning", "reasoning_content", "parsed"),
    ),
    "tool": ("role", "content", "tool_call_id", "name"),
}
_MEDIA = ("image_url", "input_audio", "file", "video_url", "input_image", "input_file")


def read_messages(fields: Fields) -> list[Json]:
    """Return `messages` with every content a text. Errors: InputError with the path of what is wrong."""
    if not isinstance(fields.raw("messages"), list) or not fields.raw("messages"):
        raise fields.error("messages", "must be a list of messages that is not empty")
    return [_message(item, f"$.messages[{at}]") for at, item in enumerate(fields.listed("messages", _MOST_MESSAGES))]


def read_tools(fields: Fields) -> list[Json]:
    """Return `tools` in the form {"type": "function", "function": {"name", "description", "parameters"}}."""
    tools: list[Json] = []
    for at, item in enumerate(fields.listed("tools", _MOST_TOOLS)):
        where = f"$.tools[{at}]"
        tool = Fields(object_at(item, where), where, ("type", "function"))
        if tool.raw("type") != "function":
            raise tool.error("type", f"is {quoted(tool.raw('type'))}", "the server calls no tools itself: 'function'")
        function = tool.fields("function", ("name", "description", "parameters", "strict"))
        if function is None:
            raise tool.error("function", "must be an object with a name")
        tools.append(read_function(function, tools))
    return tools


def read_function(function: Fields, before: Sequence[Json]) -> Json:
    """Return one tool. Errors: InputError, also for a name that is there already."""
    name = function.needed_text("name", "a name")
    if len(name) > 64 or not all(c.isalnum() or c in "_-.:" for c in name):
        raise function.error("name", f"is {quoted(name)}", "letters, digits, '_' and '-', at most 64")
    if any(tool["function"]["name"] == name for tool in before):
        raise function.error("name", f"{name!r} is there already", "give each tool its own name")
    function.boolean("strict")
    made: Json = {"name": name}
    if function.has("description"):
        made["description"] = function.text("description")
    made["parameters"] = function.mapping("parameters") or {"type": "object", "properties": {}}
    return {"type": "function", "function": made}


def read_tool_choice(fields: Fields, tools: Sequence[Json]) -> ToolChoice:
    """Return "none", "auto", "required", or the choice of one function. Errors: InputError."""
    value = fields.raw("tool_choice")
    if value is None:
        return "auto"
    if isinstance(value, str):
        word = fields.choice("tool_choice", ("none", "auto", "required"), "auto")
        if word == "required" and not tools:
            raise fields.error("tool_choice", "is 'required', but there are no tools")
        return word
    chosen = Fields(object_at(value, "$.tool_choice"), "$.tool_choice", ("type", "function", "name"))
    if chosen.raw("type") != "function":
        raise chosen.error("type", f"is {quoted(chosen.raw('type'))}", 'known: "function"')
    function = chosen.fields("function", ("name",)) or chosen  # the Responses API writes the name beside the type
    name = function.needed_text("name", "the name of a tool")
    names = [tool["function"]["name"] for tool in tools]
    if name not in names:
        raise function.error("name", f"no tool is called {name!r}", nearest_name(name, names))
    return {"type": "function", "function": {"name": name}}


def content_text(content: Any, where: str, kinds: Sequence[str] = ("text",)) -> str:
    """Return a message's content as one text. Errors: InputError for what is no text."""
    if isinstance(content, str):
        return text_at(content, where)
    if not isinstance(content, list):
        raise InputError(f"must be a text or a list of parts, got {quoted(content)}", where=where)
    texts: list[str] = []
    for at, item in enumerate(content):
        place = f"{where}[{at}]"
        part = object_at(item, place)
        kind = part.get("type")
        if kind in _MEDIA:
            raise InputError(f"{kind} is not read by this model, which takes text", where=f"{place}.type")
        key = "refusal" if kind == "refusal" else "text"
        if kind not in (*kinds, "refusal"):
            raise InputError(f"is {quoted(kind)}", where=f"{place}.type", cure=f"known: {', '.join(kinds)}")
        texts.append(text_at(part.get(key), f"{place}.{key}"))
    return "\n".join(texts)


def _message(item: Any, where: str) -> Json:
    document = object_at(item, where)
    role = document.get("role")
    if role not in _ROLES:
        cure = nearest_name(role, _ROLES) if isinstance(role, str) else f"known: {', '.join(_ROLES)}"
        raise InputError(f"is {quoted(role)}", where=f"{where}.role", cure=cure)
    fields = Fields(document, where, _KEYS[role])
    # Few templates know OpenAI's newer word for instructions.
    message: Json = {"role": "system" if role == "developer" else role}
    calls = _calls(fields) if role == "assistant" else []
    if fields.has("content") or not calls:
        if role == "assistant" and not fields.has("content") and fields.has("refusal"):
            message["content"] = fields.text("refusal")
        else:
            message["content"] = content_text(fields.raw("content"), fields.place("content"))
    else:
        message["content"] = ""
    if fields.has("name"):
        message["name"] = fields.text("name")
    if calls:
        message["tool_calls"] = calls
    if role == "tool":
        message["tool_call_id"] = fields.needed_text("tool_call_id", "the id of the call it answers")
    fields.refuse("function_call", (), "is OpenAI's old form", "use tool_calls")
    return message


def _calls(fields: Fields) -> list[Json]:
    calls: list[Json] = []
    for at, item in enumerate(fields.listed("tool_calls", _MOST_TOOLS)):
        where = f"{fields.where}.tool_calls[{at}]"
        call = Fields(object_at(item, where), where, ("id", "type", "function", "index"))
        function = call.fields("function", ("name", "arguments", "parsed_arguments"))
        if function is None:
            raise call.error("function", "must be an object with name and arguments")
        arguments = function.text("arguments", "{}")
        try:
            json.loads(arguments or "{}")
        except ValueError:
            raise function.error("arguments", "is no JSON", "send back what the model wrote") from None
        calls.append(
            {
                "id": call.needed_text("id", "the call's id"),
                "type": "function",
                "function": {"name": function.needed_text("name", "a name"), "arguments": arguments or "{}"},
            }
        )
    return calls
