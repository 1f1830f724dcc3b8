"""A vocabulary of 96 tokens for the tiny models: characters, pieces of characters, pieces of words, control tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hekla.base.errors import UnsupportedError
from hekla.llm.language import AnswerText
from hekla.llm.tokenise.detokenise import Detokeniser
from hekla.llm.tokenise.tokeniser import Tokeniser
from hekla.llm.tokenise.vocabulary import Kind, Spelling, Vocabulary
from hekla.protocols.text_engine import ChatPrompt, ReplyParser

CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGH0123456789{}[]\":,.-\n▁!?'()*+/<>=_"
BYTES = ("<0xC3>", "<0xA9>", "<0xE2>", "<0x82>", "<0xAC>")  # of é and €
PIECES = ("ab", "the", "▁a", "▁b", "true", "false", "null", '":', "stop", "ing", "er", "12", "no", "yes", "on", "▁the")
BEGIN, END = 94, 95


class CharacterEncoder:
    """One token for each character; a byte each for others."""

    def encode(self, text: str, *, is_first: bool) -> Sequence[int]:
        """Return the tokens."""
        tokens: list[int] = []
        for character in text.replace(" ", "▁"):
            place = CHARACTERS.find(character)
            spelled = [f"<0x{byte:02X}>" for byte in character.encode()]
            tokens += [place] if place >= 0 else [len(CHARACTERS) + BYTES.index(byte) for byte in spelled]
        return tokens


class TinyLanguage:
    """`hekla.llm.language.Language` without conversations."""

    vocabulary_tokens = 96
    end_tokens = frozenset({END})
    special_tokens = frozenset({BEGIN, END})
    has_chat_template = False
    can_call_tools = False

    def __init__(self) -> None:
        texts = [*CHARACTERS, *BYTES, *PIECES]
        texts += [f"x{number}" for number in range(BEGIN - len(texts))] + ["<s>", "</s>"]
        kinds = np.full(96, Kind.NORMAL, np.int32)
        kinds[len(CHARACTERS) : len(CHARACTERS) + len(BYTES)] = Kind.BYTE
        kinds[[BEGIN, END]] = Kind.CONTROL
        vocabulary = Vocabulary(texts, kinds, Spelling.SENTENCEPIECE)
        self._tokeniser = Tokeniser(vocabulary, CharacterEncoder(), vocabulary_tokens=96, begin_token=BEGIN)

    def encode(self, text: str, *, is_special: bool = False) -> tuple[int, ...]:
        """Return the tokens of a text."""
        return self._tokeniser.encode(text, is_special=is_special)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        return self._tokeniser.decode(tokens)

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of a token."""
        return self._tokeniser.token_bytes(token)

    def answer_text(self, stop: Sequence[str]) -> AnswerText:
        """Return a detokeniser."""
        return Detokeniser(self._tokeniser, stop)

    def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],  # Any: as the protocol has it
        *,
        tools: Sequence[Mapping[str, Any]],
        tool_choice: str | Mapping[str, Any],
        options: Mapping[str, Any] | None,
    ) -> ChatPrompt:
        """It has no template."""
        raise UnsupportedError("no template")

    def reply_parser(self, tools: Sequence[Mapping[str, Any]]) -> ReplyParser:
        """It has no tools."""
        raise UnsupportedError("no tools")
