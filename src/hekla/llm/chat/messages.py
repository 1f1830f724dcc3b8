"""OpenAI's messages as templates want them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from hekla.base.errors import InputError, UnsupportedError, quoted

Message: TypeAlias = dict[str, Any]  # Any: JSON that a client wrote


def prepared_messages(messages: Sequence[Mapping[str, Any]], template: str) -> list[Message]:  # Any: as above
    """Return messages with text as content, and arguments of tool calls as tables.

    Parts of a content are put together; none at all becomes "". A `developer` is the system where the template knows no
    such role. Errors: InputError naming the place; UnsupportedError for a part that is no text.
    """
    if not messages:
        raise InputError("expected at least one message", where="$.messages")
    return [_prepared(message, f"$.messages[{at}]", template) for at, message in enumerate(messages)]


def _prepared(message: Mapping[str, Any], where: str, template: str) -> Message:  # Any: as above
    role = message.get("role")
    if not isinstance(role, str):
        raise InputError(f"expected a role, got {quoted(role)}", where=f"{where}.role")
    if role == "developer" and "developer" not in template:
        role = "system"
    found = {**message, "role": role, "content": _text(message.get("content"), f"{where}.content")}
    if calls := message.get("tool_calls"):
        found["tool_calls"] = [_call(call, f"{where}.tool_calls[{at}]") for at, call in enumerate(calls)]
    else:
        found.pop("tool_calls", None)  # templates ask whether the key is there
    return found


def _text(content: object, where: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        raise InputError(f"expected a text or parts, got {quoted(content)}", where=where)
    texts = []
    for at, part in enumerate(content):
        if isinstance(part, str):
            texts.append(part)
            continue
        kind = part.get("type") if isinstance(part, Mapping) else None
        key = "refusal" if kind == "refusal" else "text"
        if kind not in ("text", "input_text", "output_text", "refusal") or not isinstance(part.get(key), str):
            raise UnsupportedError(
                f"a part of the type {quoted(kind)}", where=f"{where}[{at}].type", cure="this model reads text only"
            )
        texts.append(part[key])
    return "".join(texts)


def _call(call: object, where: str) -> Message:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise InputError("expected a function with a name", where=where)
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        arguments = _table(arguments)
    return {**call, "function": {**function, "arguments": arguments}}


def _table(arguments: str) -> object:
    """Return arguments as a table, which templates write as JSON themselves; a text that is none stays a text."""
    try:
        found = json.loads(arguments) if arguments else {}
    except (ValueError, RecursionError):
        return arguments
    return found if isinstance(found, dict) else arguments
