"""Telling of tools a model whose template knows none: in words, as the Hermes and Qwen 2.5 templates do.

What it says is the format of NousResearch's Hermes function calling: signatures between <tools> tags, calls between
<tool_call> tags, results between <tool_response> tags. A model that was not trained so may answer in words all the
same; `tool_choice` "required" holds it to the format.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hekla.llm.chat.messages import Message

PROMPT = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{signatures}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def told_in_messages(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]],  # Any: OpenAI's tools, checked
    *,
    has_system: bool,
) -> list[Message]:
    """Return messages that tell of tools, their calls and results in words.

    `has_system`: the template writes a system message; else the first user is told.
    """
    found: list[Message] = []
    for message in messages:
        said = _in_words(message)
        if message["role"] == "tool" and found and found[-1].get("is_tool_result"):
            found[-1]["content"] += "\n" + said["content"]
        else:
            found.append(said)
    for message in found:
        message.pop("is_tool_result", None)
    if not tools:
        return found
    signatures = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    prompt = PROMPT.format(signatures=signatures)
    role = "system" if has_system else "user"
    first = next((at for at, message in enumerate(found) if message["role"] == role), None)
    if first is None or (role == "system" and first != 0):
        return [{"role": role, "content": prompt}, *found]
    before = f"{found[first]['content']}\n\n{prompt}" if role == "system" else f"{prompt}\n\n{found[first]['content']}"
    return [*found[:first], {**found[first], "content": before}, *found[first + 1 :]]


def _in_words(message: Message) -> Message:
    if message["role"] == "tool":
        content = f"<tool_response>\n{message['content']}\n</tool_response>"
        return {"role": "user", "content": content, "is_tool_result": True}
    if not message.get("tool_calls"):
        return dict(message)
    calls = []
    for call in message["tool_calls"]:
        function = call["function"]
        body = json.dumps({"name": function["name"], "arguments": function["arguments"]}, ensure_ascii=False)
        calls.append(f"<tool_call>\n{body}\n</tool_call>")
    content = "\n".join(part for part in (message["content"], *calls) if part)
    return {"role": message["role"], "content": content}
