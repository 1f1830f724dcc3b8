"""The seam inside the package between the engine, which counts in tokens, and what a model means by them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hekla.protocols.text_engine import ChatPrompt, ReplyParser


class AnswerText(Protocol):
    """The text of one answer, as its tokens come: whole characters, and nothing that may still become a stop text."""

    found_stop: str | None  # the stop text that ended the answer

    def feed(self, token: int) -> str:
        """Return what can be shown after one more token; "" after a stop text."""

    def finish(self) -> str:
        """Return what was held back, at the end."""


class Language(Protocol):
    """A model's tokens, and how it writes conversations. Any thread."""

    @property
    def vocabulary_tokens(self) -> int:
        """How many ids there are."""

    @property
    def end_tokens(self) -> frozenset[int]:
        """What ends an answer."""

    @property
    def special_tokens(self) -> frozenset[int]:
        """Ids that stand for no text."""

    @property
    def has_chat_template(self) -> bool:
        """True if `render_chat` can."""

    @property
    def can_call_tools(self) -> bool:
        """True if the template knows tools."""

    def encode(self, text: str, *, is_special: bool = False) -> tuple[int, ...]:
        """As `TextEngine.encode`."""

    def decode(self, tokens: Sequence[int]) -> str:
        """As `TextEngine.decode`."""

    def token_bytes(self, token: int) -> bytes:
        """As `TextEngine.token_bytes`."""

    def answer_text(self, stop: Sequence[str]) -> AnswerText:
        """Return what turns the tokens of one answer into text."""

    def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],  # Any: OpenAI's messages, checked by the door
        *,
        tools: Sequence[Mapping[str, Any]],
        tool_choice: str | Mapping[str, Any],
        options: Mapping[str, Any] | None,
    ) -> ChatPrompt:
        """As `TextEngine.render_chat`."""

    def reply_parser(self, tools: Sequence[Mapping[str, Any]]) -> ReplyParser:
        """As `TextEngine.reply_parser`."""
