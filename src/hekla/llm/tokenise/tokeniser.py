"""`Tokeniser`: a model's text as token ids, and back."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from hekla.base.errors import InputError
from hekla.llm.tokenise.literal_tokens import LiteralTokens
from hekla.llm.tokenise.vocabulary import Kind, Spelling, Vocabulary


class PlainEncoder(Protocol):
    """Turns text without any literal token into token ids. Any thread."""

    def encode(self, text: str, *, is_first: bool) -> Sequence[int]:
        """Return the ids of a text that is never empty. `is_first`: no text stood before it."""


class Tokeniser:
    """A model's text as token ids, and back. Any thread.

    vocabulary_tokens: rows of the embedding, of which the last may stand for nothing.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        plain: PlainEncoder,
        *,
        vocabulary_tokens: int,
        begin_token: int | None = None,
        end_token: int | None = None,
        strips_first_space: bool = False,
    ) -> None:
        self.vocabulary, self.vocabulary_tokens, self.begin_token = vocabulary, vocabulary_tokens, begin_token
        self._plain, self._end_token, self._strips_first_space = plain, end_token, strips_first_space
        self._names = frozenset(np.flatnonzero(np.isin(vocabulary.kinds, (Kind.CONTROL, Kind.UNKNOWN))).tolist())
        self._bytes: dict[int, bytes] = {}  # of tokens that were asked for: an answer says most words again
        # A name of one character could not be told from a text that has it.
        found = vocabulary.of_kind(Kind.CONTROL, Kind.UNKNOWN)
        control = {text: token for text, token in found.items() if len(text) > 1}
        given = vocabulary.of_kind(Kind.USER_DEFINED)
        self.control = LiteralTokens(control)
        self._given, self._both = LiteralTokens(given), LiteralTokens({**control, **given})

    def encode(self, text: str, *, is_special: bool = False) -> tuple[int, ...]:
        """Return the token ids of a text.

        `is_special` reads control tokens written in the text as themselves and adds those the model begins (and, for an
        encoder, ends) with; without it, no text becomes a control token. Lone surrogates are read as U+FFFD.
        """
        tokens = self._encoded(text, self._both if is_special else self._given)
        if is_special:
            if self.begin_token is not None and tokens[:1] != [self.begin_token]:
                tokens.insert(0, self.begin_token)
            if self._end_token is not None:
                tokens.append(self._end_token)
        return tuple(tokens)

    def encode_template(self, text: str, breaker: str) -> tuple[int, ...]:
        """Return the ids of what a chat template wrote, control tokens read as themselves.

        `breaker` is a character that was put into whatever must not be read so; it is dropped after that.
        """
        tokens = self._encoded(text, self._both, breaker)
        if self.begin_token is not None and tokens[:1] != [self.begin_token]:
            tokens.insert(0, self.begin_token)
        return tuple(tokens)

    def _encoded(self, text: str, literal: LiteralTokens, breaker: str = "") -> list[int]:
        tokens: list[int] = []
        is_first = True
        for part in literal.find(_without_surrogates(text)):
            if isinstance(part, int):
                tokens.append(part)
                is_first = part in self._names
            elif breaker and breaker in part:
                tokens += self._broken(part.replace(breaker, ""), is_first)
                is_first = False
            else:
                tokens += self._plain.encode(part, is_first=is_first)
                is_first = False
        return tokens

    def _broken(self, text: str, is_first: bool) -> list[int]:
        tokens: list[int] = []
        for part in self._given.find(text):
            tokens += [part] if isinstance(part, int) else self._plain.encode(part, is_first=is_first)
            is_first = False
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids, control tokens by name; bytes that are no UTF-8 become U+FFFD.

        Errors: InputError for an id out of range, naming its place.
        """
        text = b"".join(self._checked_bytes(token, at) for at, token in enumerate(tokens)).decode("utf-8", "replace")
        strips = self._strips_first_space or self.vocabulary.spelling is Spelling.WORDPIECE
        return text.removeprefix(" ") if strips else text

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes one token stands for. Errors: InputError for an id out of range."""
        return self._checked_bytes(token, 0)

    def is_control(self, token: int) -> bool:
        """True for a token that stands for no text of its own."""
        return token in self._names

    def token_of(self, text: str) -> int | None:
        """Return the token that a control or given token's text names; None for any other text."""
        found = list(self._both.find(text))
        return found[0] if len(found) == 1 and isinstance(found[0], int) else None

    def _checked_bytes(self, token: int, at: int) -> bytes:
        known = self._bytes.get(token)
        if known is not None:
            return known
        if not 0 <= token < self.vocabulary_tokens:
            raise InputError(
                f"expected a token from 0 to {self.vocabulary_tokens - 1}, got {token}", where=f"$.tokens[{at}]"
            )
        found = self._bytes[token] = self.vocabulary.bytes_of(token)
        return found


def _without_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
