"""Tokens that are found in a text as they are written: control tokens, and those a vocabulary was given by hand."""

import re
from collections.abc import Iterator, Mapping


class LiteralTokens:
    """A set of texts, each a token. The leftmost is found first, of those the longest.

    Looked up by its first two characters: a vocabulary has thousands of them, and most places of a text begin none.
    """

    def __init__(self, tokens: Mapping[str, int]) -> None:
        self._tokens = dict(tokens)
        by_start: dict[str, set[int]] = {}
        for text in self._tokens:
            by_start.setdefault(text[:2], set()).add(len(text))
        self._lengths = {start: sorted(lengths, reverse=True) for start, lengths in by_start.items()}
        firsts = "".join(sorted({text[0] for text in self._tokens}))
        self._candidate = re.compile(f"[{re.escape(firsts)}]" if firsts else r"(?!)")

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, text: str) -> Iterator[str | int]:
        """Yield the text in order: stretches between tokens as text (never empty), tokens as numbers."""
        done = at = 0
        while candidate := self._candidate.search(text, at):
            at = candidate.start()
            length = self._length_at(text, at)
            if length:
                if at > done:
                    yield text[done:at]
                yield self._tokens[text[at : at + length]]
                done = at = at + length
            else:
                at += 1
        if done < len(text):
            yield text[done:]

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where texts of the set begin and how long they are, also where they overlap."""
        for candidate in self._candidate.finditer(text):
            if length := self._length_at(text, candidate.start()):
                yield candidate.start(), length

    def tails(self, text: str) -> Iterator[int]:
        """Yield how many characters at the end of a text begin one of the set without finishing it, from two on."""
        longest = max((lengths[0] for lengths in self._lengths.values()), default=0)
        for start in range(max(0, len(text) - longest + 1), len(text) - 1):
            end = text[start:]
            if end[:2] in self._lengths and any(len(end) < len(t) and t.startswith(end) for t in self._tokens):
                yield len(end)

    def _length_at(self, text: str, at: int) -> int:
        for lengths in (self._lengths.get(text[at : at + 2], ()), self._lengths.get(text[at], ())):
            for length in lengths:
                if text[at : at + length] in self._tokens:
                    return length
        return 0
