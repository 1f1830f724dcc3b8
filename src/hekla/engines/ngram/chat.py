"""How this engine writes conversations and tool calls.

    <|start|> <|system|> text <|end|> <|user|> text <|end|> <|assistant|> the answer <|end|>

A call is `<tool_call>{"name": NAME, "arguments": {...}}</tool_call>` in the answer's text.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from hekla.base.errors import InputError
from hekla.engines.ngram.answer import overlap
from hekla.engines.ngram.instance import instance
from hekla.engines.ngram.vocabulary import ASSISTANT, END, START, SYSTEM, TOOL, USER, decode, encode
from hekla.protocols.text_engine import ChatPrompt, Grammar, ReplyPiece, ToolCall

_ROLES = {"system": SYSTEM, "developer": SYSTEM, "user": USER, "assistant": ASSISTANT, "tool": TOOL}
_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_ARGUMENTS = ', "arguments": '
_NAME = '{"name": '


def render(
    messages: Sequence[Mapping[str, Any]],  # Any: OpenAI's messages
    tools: Sequence[Mapping[str, Any]],
    tool_choice: str | Mapping[str, Any],
) -> ChatPrompt:
    """Return the conversation as tokens. Errors: InputError for a role that is not known."""
    tokens = [START]
    for at, message in enumerate(messages):
        role = _ROLES.get(message["role"])
        if role is None:
            raise InputError(f"the template knows no role {message['role']!r}", where=f"$.messages[{at}].role")
        calls = message.get("tool_calls") or ()
        tokens += (role, *encode(message.get("content") or "", is_special=False))
        for call in calls:
            tokens += encode(_call_text(call["function"]["name"], call["function"]["arguments"]), is_special=False)
        tokens.append(END)
    tokens.append(ASSISTANT)
    called = _called(messages, tools, tool_choice)
    grammar = _call_grammar([called]) if called is not None else None
    offered = [tool["function"] for tool in tools] if tool_choice != "none" else []
    return ChatPrompt(decode(tokens), tuple(tokens), grammar=grammar, calls=_call_grammar(offered) if offered else None)


def _call_grammar(functions: Sequence[Mapping[str, Any]]) -> Grammar:
    texts = []
    for function in functions:
        arguments = json.dumps(instance(function.get("parameters") or {"type": "object"}))
        texts.append(_call_text(function["name"], arguments))
    return Grammar("choice", json.dumps(texts))


def _call_text(name: str, arguments: str) -> str:
    return f"{_OPEN}{_NAME}{json.dumps(name)}{_ARGUMENTS}{arguments}}}{_CLOSE}"


def _called(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    tool_choice: str | Mapping[str, Any],
) -> Mapping[str, Any] | None:
    """Return the function to call: the one demanded, or the one the last message says to call."""
    functions: list[Mapping[str, Any]] = [tool["function"] for tool in tools]
    if tool_choice == "none" or not functions:
        return None
    if isinstance(tool_choice, Mapping):
        wanted = tool_choice["function"]["name"]
        return next(function for function in functions if function["name"] == wanted)
    last = messages[-1]
    asked = [f for f in functions if last["role"] == "user" and f"call {f['name']}" in (last["content"] or "")]
    if asked or tool_choice == "required":
        return (asked or functions)[0]
    return None


class CallParser:
    """Tells calls from text, piece by piece."""

    def __init__(self, has_tools: bool) -> None:
        self._has_tools = has_tools
        self._held = ""
        self._index = -1
        self._state = "text"  # then "name" and "arguments" of each call

    def feed(self, text: str, *, is_end: bool = False) -> Sequence[ReplyPiece]:
        """Return what is known now."""
        if not self._has_tools:
            return (ReplyPiece(text),) if text else ()
        self._held += text
        pieces: list[ReplyPiece] = []
        while (piece := self._next(is_end)) is not None:
            pieces.append(piece)
        if is_end and self._held:
            pieces.append(self._piece(self._held))
            self._held = ""
        return [piece for piece in pieces if piece.text or piece.tool_calls]

    def _next(self, is_end: bool) -> ReplyPiece | None:
        """Return the next piece if one can be told apart, and move on."""
        if self._state == "text":
            return self._until(_OPEN, "name")
        if self._state == "arguments":
            return self._until(f"}}{_CLOSE}", "text")
        head, found, rest = self._held.partition(_ARGUMENTS)
        if not found:
            return None
        try:
            name = str(json.loads(head.removeprefix(_NAME)))
        except ValueError:
            self._state, self._held = "text", rest
            return ReplyPiece(f"{_OPEN}{head}{found}")
        self._index += 1
        self._state, self._held = "arguments", rest
        return ReplyPiece(tool_calls=(ToolCall(self._index, f"call_{uuid.uuid4().hex[:24]}", name),))

    def _until(self, mark: str, then: str) -> ReplyPiece | None:
        at = self._held.find(mark)
        if at >= 0:
            piece = self._piece(self._held[:at])
            self._held, self._state = self._held[at + len(mark) :], then
            return piece
        sure = len(self._held) - overlap(self._held, mark)
        if not sure:
            return None
        piece, self._held = self._piece(self._held[:sure]), self._held[sure:]
        return piece

    def _piece(self, text: str) -> ReplyPiece:
        if self._state == "arguments":
            return ReplyPiece(tool_calls=(ToolCall(self._index, arguments=text),)) if text else ReplyPiece()
        return ReplyPiece((_OPEN if self._state == "name" else "") + text)
