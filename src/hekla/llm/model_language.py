"""`ModelLanguage`: what a model's own file says of its tokens and its conversations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hekla.base.errors import ModelFileError, UnsupportedError
from hekla.llm.chat.sources import make_chat_template
from hekla.llm.model_file import ModelFile
from hekla.llm.tokenise import Detokeniser, make_tokeniser
from hekla.llm.tokenise.vocabulary import Kind
from hekla.llm.tools import reply_parser
from hekla.llm.tools.formats import format_of
from hekla.protocols.text_engine import ChatPrompt, ReplyParser


class ModelLanguage:
    """The language of an opened model. Any thread.

    Cost: tables of all tokens: 0.1 s for 49,152, 0.25 s for 262,144. Errors: ModelFileError and UnsupportedError of the
    tokeniser and the chat template.
    """

    def __init__(self, model: ModelFile) -> None:
        config = model.config
        self.vocabulary_tokens, self.end_tokens = config.vocabulary_tokens, config.end_tokens
        self._tokeniser = make_tokeniser(model.metadata, model.folder, config.vocabulary_tokens)
        for token in config.end_tokens:
            if token >= config.vocabulary_tokens:
                raise ModelFileError(f"the end token {token} is past the vocabulary", where=str(model.path))
        kinds = self._tokeniser.vocabulary.kinds
        self.special_tokens = frozenset(np.flatnonzero(np.isin(kinds, (Kind.CONTROL, Kind.UNKNOWN))).tolist())
        self._template = make_chat_template(model, self._tokeniser)
        self._shown = frozenset() if self._template is None else self._template.shown_tokens
        self._where = model.name

    @property
    def has_chat_template(self) -> bool:
        """True if `render_chat` can."""
        return self._template is not None

    @property
    def can_call_tools(self) -> bool:
        """True where there is a template: one that knows no tools is told of them in words."""
        return self._template is not None

    def encode(self, text: str, *, is_special: bool = False) -> tuple[int, ...]:
        """As `TextEngine.encode`."""
        return self._tokeniser.encode(text, is_special=is_special)

    def decode(self, tokens: Sequence[int]) -> str:
        """As `TextEngine.decode`."""
        return self._tokeniser.decode(tokens)

    def token_bytes(self, token: int) -> bytes:
        """As `TextEngine.token_bytes`."""
        return self._tokeniser.token_bytes(token)

    def answer_text(self, stop: Sequence[str]) -> Detokeniser:
        """Return what turns the tokens of one answer into text."""
        return Detokeniser(self._tokeniser, stop, self._shown)

    def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],  # Any: OpenAI's messages, checked by the door
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: str | Mapping[str, Any] = "auto",
        options: Mapping[str, Any] | None = None,
    ) -> ChatPrompt:
        """As `TextEngine.render_chat`."""
        if self._template is None:
            raise UnsupportedError(
                "this model has no chat template", where=self._where, cure="send a prompt to /v1/completions"
            )
        return self._template.render(messages, tools=tools, tool_choice=tool_choice, options=options)

    def reply_parser(self, tools: Sequence[Mapping[str, Any]] = ()) -> ReplyParser:
        """As `TextEngine.reply_parser`."""
        return reply_parser(format_of("") if self._template is None else self._template.tool_format, tools)
