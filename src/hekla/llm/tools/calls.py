"""Reads one call, `{"name": ..., "arguments": {...}}`, while a model writes it.

The name and then the arguments are passed on as soon as they are there, in the usual order; a call in another order, or
with its arguments in a string, is passed on when it is complete. What turns out to be no call is given back as text.
"""

import json
import re
from dataclasses import dataclass

# The usual beginning, up to the first character of the arguments.
_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)')
_LONGEST_HEAD = 4096  # characters; a name is shorter


@dataclass(slots=True)
class CallReader:
    """A state machine over characters: feeds may cut the text anywhere. Time is linear in the text.

    After `feed`, `name` is set once it is known, and `arguments` holds what was not taken yet.
    """

    name: str = ""
    arguments: str = ""
    is_done: bool = False  # the object is closed
    is_wrong: bool = False  # it is no call; `raw` is its text
    raw: str = ""  # all of it, until arguments are passed on piece by piece
    is_bare: bool = False  # the name stood elsewhere: the text is the arguments alone
    _at: int = 0  # characters taken
    _depth: int = 0
    _in_string: bool = False
    _is_escaped: bool = False
    _streams: bool = False
    _end: int = -1  # where the first object inside of the call ends: the arguments, in the usual order

    @classmethod
    def of_arguments(cls, name: str) -> "CallReader":
        """Return a reader of the arguments of a call whose name is known."""
        return cls(name=name, is_bare=True, _depth=1, _streams=True)

    def feed(self, text: str) -> int:
        """Take characters up to the end of the object, and return how many."""
        start, taken = self._at, len(text)
        for at, character in enumerate(text):
            self._step(character)
            if self.is_wrong or self.is_done:
                taken = at + self.is_done
                break
        self._at = start + taken
        if self._streams:
            self._pass_on(text[:taken], start)
        else:
            self.raw += text[:taken]
            self._look()
        return taken

    def _step(self, character: str) -> None:
        self._at += 1
        if self._in_string:
            if self._is_escaped:
                self._is_escaped = False
            elif character == "\\":
                self._is_escaped = True
            elif character == '"':
                self._in_string = False
        elif self._depth == 0 and character != "{":
            self.is_wrong = not character.isspace()
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self.is_done = self._depth == self.is_bare
            if self._depth == 1 and self._end < 0:
                self._end = self._at

    def _look(self) -> None:
        """See whether the call begins as usual; if not, wait until it is complete."""
        has_inner = self._depth != 1 or self._end >= 0  # an object inside has begun, maybe ended in the same piece
        if has_inner and len(self.raw) < _LONGEST_HEAD and (head := _HEAD.match(self.raw)):
            self.name = _text(head[1])
            if self.name:
                self._streams = True
                rest, self.raw = self.raw[head.end() :], ""
                self._pass_on(rest, head.end())
                return
        if self.is_done:
            self._take_whole()

    def _pass_on(self, text: str, start: int) -> None:
        """Pass on the arguments, without what closes the call."""
        self.arguments += text if self._end < 0 else text[: max(0, self._end - start)]

    def _take_whole(self) -> None:
        try:
            found = json.loads(self.raw)
            name, arguments = found["name"], found.get("arguments", found.get("parameters", {}))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            name, arguments = "", ""
        if isinstance(name, str) and name:
            self.name = name
            self.arguments = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        else:
            self.is_wrong, self.is_done = True, False


def _text(quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        return ""
