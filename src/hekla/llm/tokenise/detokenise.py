"""Tokens back to text while they come: whole characters only, and nothing that may still become a stop text."""

import codecs
from collections.abc import Sequence

from hekla.llm.tokenise.tokeniser import Tokeniser


class Detokeniser:
    """One answer's text, piece by piece. The pieces put together are the whole, whatever the tokens are.

    stop: texts that end the answer and are not part of it. The one that is complete first counts; of two that are
    complete at once, the longer. shown: control tokens that are written out by name; others give no text.
    """

    def __init__(self, tokeniser: Tokeniser, stop: Sequence[str] = (), shown: frozenset[int] = frozenset()) -> None:
        self._tokeniser, self._shown = tokeniser, shown
        self._stop = tuple(text for text in stop if text)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""  # characters that may still become a stop text
        self.found_stop: str | None = None  # the stop text that ended the answer

    def feed(self, token: int) -> str:
        """Return what can be shown after one more token; "" after a stop text."""
        if self.found_stop is not None or (self._tokeniser.is_control(token) and token not in self._shown):
            return ""
        return self._shown_now(self._decoder.decode(self._tokeniser.token_bytes(token)))

    def finish(self) -> str:
        """Return what was held back, at the end of the answer. A character that is not whole becomes U+FFFD."""
        if self.found_stop is not None:
            return ""
        shown = self._shown_now(self._decoder.decode(b"", final=True))
        shown, self._held = shown + self._held, ""
        return shown

    def _shown_now(self, text: str) -> str:
        text = self._held + text
        found = [(text.find(stop) + len(stop), -len(stop), stop) for stop in self._stop if stop in text]
        if found:
            end, _, self.found_stop = min(found)
            self._held = ""
            return text[: end - len(self.found_stop)]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of a text begin a stop text."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
