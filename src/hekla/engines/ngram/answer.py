"""One request while it is answered: its tokens so far, and the text that may be shown."""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hekla.engines.ngram.vocabulary import END, token_bytes
from hekla.protocols.text_engine import TextRequest


class ShownText:
    """Whole characters, and nothing that may still become a stop text."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = stop
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.has_stopped = False

    def feed(self, data: bytes, *, is_end: bool = False) -> str:
        """Take the bytes of a token; return what can be shown now."""
        self._held += self._bytes.decode(data, is_end)
        found = [at for text in self._stop if (at := self._held.find(text)) >= 0]
        if found:
            self.has_stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        keep = 0 if is_end else max((overlap(self._held, text) for text in self._stop), default=0)
        shown = self._held[: len(self._held) - keep]
        self._held = self._held[len(shown) :]
        return shown


def overlap(text: str, mark: str) -> int:
    """Return how much of the text's end may be the mark's beginning."""
    return next((n for n in range(min(len(mark) - 1, len(text)), 0, -1) if text.endswith(mark[:n])), 0)


@dataclass(slots=True)
class Answer:
    """The state of one request."""

    request: TextRequest
    order: int  # of arrival
    limit: int  # tokens it may write
    shown: ShownText
    random: np.random.Generator
    forced: Iterator[int] | None = None  # the tokens a grammar leaves no choice of
    tokens: list[int] = field(default_factory=list)  # the prompt and what was written
    seen: dict[int, int] = field(default_factory=dict)
    prefilled: int = 0  # tokens of the prompt that were read
    cached: int = 0  # of them, taken from earlier requests
    written: int = 0
    pages: int = 0
    waited_s: float = 0.0
    read_s: float = 0.0

    def note(self, token: int) -> None:
        """Add a token that was written."""
        self.tokens.append(token)
        self.seen[token] = self.seen.get(token, 0) + 1
        self.written += 1


def forced_tokens(text: str) -> Iterator[int]:
    """Return the tokens of a text and the end."""
    return iter((*text.encode(), END))


def bytes_of(token: int) -> bytes:
    """Return what a token shows: nothing for control tokens."""
    return token_bytes(token) if token < 256 else b""
