"""Tells text from tool calls in an answer, piece by piece, wherever the pieces are cut."""

import re
import secrets
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from hekla.llm.tools.calls import CallReader
from hekla.llm.tools.formats import ToolFormat
from hekla.protocols.text_engine import ReplyParser, ReplyPiece, ToolCall

# Mistral's later form: the name, in some versions an id, and then the arguments alone.
_NAME_BEGINS = re.compile(r"[\w-]")
_NAMED = re.compile(r"([\w.-]{1,64})(?:\[CALL_ID\][\w-]{0,64})?(?:\[ARGS\])?\s*(?=\{)")
_MAYBE_NAMED = re.compile(r"[\w.-]{1,64}(?:\[[^{\s]{0,80})?\s{0,8}")
_LETTERS = string.ascii_letters + string.digits


def reply_parser(form: ToolFormat, tools: Sequence[Mapping[str, Any]] = ()) -> ReplyParser:  # Any: OpenAI's tools
    """Return what reads one answer. Without tools everything is text."""
    return _CallParser(form, lambda: _random_id(form)) if tools else _TextParser()


def _random_id(form: ToolFormat) -> str:
    letters = "".join(secrets.choice(_LETTERS) for _ in range(form.id_characters))
    return letters if form.id_characters < 24 else f"call_{letters}"


class _TextParser:
    """Everything is text."""

    def feed(self, text: str, *, is_end: bool = False) -> Sequence[ReplyPiece]:
        """Return the text."""
        return (ReplyPiece(text),) if text else ()


class _State(Enum):
    START = "start"  # nothing but spaces came: an answer that begins with an object is a call, in some formats
    TEXT = "text"
    CALL = "call"  # the mark that opens calls was seen
    AFTER = "after"  # a call is complete: another one, the mark that closes, or text


class _CallParser:
    """Reads one format. `pending` is what was fed and not understood yet; `opened` what goes back if it is no call."""

    def __init__(self, form: ToolFormat, make_id: Callable[[], str]) -> None:
        self._form, self._make_id = form, make_id
        self._state = _State.START if form.begins_without_opening else _State.TEXT
        self._pending, self._opened = "", ""
        self._reader: CallReader | None = None
        self._index = -1
        self._is_announced = False

    def feed(self, text: str, *, is_end: bool = False) -> Sequence[ReplyPiece]:
        """Return what is known now."""
        self._pending += text
        found: list[ReplyPiece] = []
        going = True
        while going:
            was = self._state, len(self._pending), self._reader
            found += self._move(is_end)
            going = was != (self._state, len(self._pending), self._reader)
        if is_end:
            found += self._rest()
        return _joined(found)

    def _move(self, is_end: bool) -> Iterator[ReplyPiece]:
        if self._state is _State.START:
            self._begin()
        elif self._state is _State.TEXT:
            yield from self._text(is_end)
        elif self._state is _State.CALL:
            yield from self._call()
        else:
            self._after(is_end)

    def _begin(self) -> None:
        stripped = self._pending.lstrip()
        if stripped.startswith("{"):
            self._opened = self._pending[: len(self._pending) - len(stripped)]
            self._pending, self._state = stripped, _State.CALL
        elif stripped:
            self._state = _State.TEXT

    def _text(self, is_end: bool) -> Iterator[ReplyPiece]:
        opening = self._form.opening
        before, mark, after = self._pending.partition(opening)
        if mark:
            if before.strip() or self._index < 0:
                yield ReplyPiece(before)
            self._opened, self._pending, self._state = mark, after, _State.CALL
            return
        held = 0 if is_end else _overlap(self._pending, opening)
        if self._index >= 0 and not self._pending[: len(self._pending) - held].strip():
            return  # spaces between calls, or after the last one, are nobody's
        shown = len(self._pending) - held
        yield ReplyPiece(self._pending[:shown])
        self._pending = self._pending[shown:]

    def _call(self) -> Iterator[ReplyPiece]:
        if self._reader is None:
            self._open_list()
            self._reader, self._is_announced = self._opened_call(), False
            if self._reader is None:
                return
        reader = self._reader
        taken = reader.feed(self._pending)
        self._pending = self._pending[taken:]
        if reader.is_wrong:
            yield ReplyPiece(self._opened + reader.raw)
            self._reader, self._opened, self._state = None, "", _State.TEXT
            return
        yield from self._known(reader)
        if reader.is_done:
            self._reader, self._opened, self._state = None, "", _State.AFTER

    def _opened_call(self) -> CallReader | None:
        """Return what reads the call that begins here; None where that cannot be told yet."""
        if not self._form.is_list or not _NAME_BEGINS.match(self._pending):
            return CallReader() if self._pending else None
        if named := _NAMED.match(self._pending):
            self._opened += named[0]
            self._pending = self._pending[named.end() :]
            return CallReader.of_arguments(named[1])
        return None if _MAYBE_NAMED.fullmatch(self._pending) else CallReader()

    def _open_list(self) -> None:
        """Go past spaces, and the bracket of a list, in front of a call."""
        stripped = self._pending.lstrip()
        if self._form.is_list and stripped.startswith("[") and "[" not in self._opened.removeprefix(self._form.opening):
            stripped = stripped[1:].lstrip()
        self._opened += self._pending[: len(self._pending) - len(stripped)]
        self._pending = stripped

    def _known(self, reader: CallReader) -> Iterator[ReplyPiece]:
        if not reader.name:
            return
        arguments, reader.arguments = reader.arguments, ""
        if not self._is_announced:
            self._index, self._is_announced = self._index + 1, True
            yield ReplyPiece(tool_calls=(ToolCall(self._index, self._make_id(), reader.name, arguments),))
        elif arguments:
            yield ReplyPiece(tool_calls=(ToolCall(self._index, arguments=arguments),))

    def _after(self, is_end: bool) -> None:
        stripped = self._pending.lstrip()
        closing = self._form.closing or ("]" if self._form.is_list else "")
        if closing and stripped.startswith(closing):
            self._pending, self._state = stripped[len(closing) :], _State.TEXT
        elif stripped[:1] in ((",", ";") if not self._form.closing else ()) and stripped:
            self._opened, self._pending, self._state = stripped[0], stripped[1:], _State.CALL
        elif stripped.startswith("{"):
            self._pending, self._state = stripped, _State.CALL
        elif stripped and (is_end or not closing.startswith(stripped)):
            self._state = _State.TEXT

    def _rest(self) -> Iterator[ReplyPiece]:
        """Give back, at the end, what did not become a call; spaces after calls are dropped."""
        if self._reader is not None and not self._is_announced:
            yield ReplyPiece(self._opened + self._reader.raw)
        elif self._reader is None and self._state is _State.CALL:
            yield ReplyPiece(self._opened + self._pending)
        elif self._index < 0 or self._pending.strip():
            yield ReplyPiece(self._pending)
        self._pending, self._opened, self._reader, self._state = "", "", None, _State.TEXT


def _joined(pieces: Sequence[ReplyPiece]) -> Sequence[ReplyPiece]:
    """Return pieces without empty ones, texts side by side as one."""
    found: list[ReplyPiece] = []
    for piece in pieces:
        if not piece.text and not piece.tool_calls:
            continue
        if found and not piece.tool_calls and not found[-1].tool_calls:
            found[-1] = ReplyPiece(found[-1].text + piece.text)
        else:
            found.append(piece)
    return found


def _overlap(text: str, mark: str) -> int:
    for length in range(min(len(text), len(mark) - 1), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0
