"""`ChatTemplate`: a conversation as a prompt, ready for the assistant's answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError

from hekla.base.errors import InputError, ModelFileError, TooLargeError
from hekla.llm.chat.isolation import breaker_for, broken
from hekla.llm.chat.messages import Message, prepared_messages
from hekla.llm.chat.sandbox import LONGEST_TEXT, SandboxedTemplate, TemplateRefusedError
from hekla.llm.tokenise.tokeniser import Tokeniser
from hekla.llm.tools.choice import calls_grammar, checked_tools, tools_grammar
from hekla.llm.tools.default_prompt import told_in_messages
from hekla.llm.tools.formats import format_of
from hekla.protocols.text_engine import ChatPrompt

_MOST_TRIED = 256  # messages, one after the other, to find the one that a template refuses


class ChatTemplate:
    """A model's chat template. Any thread.

    sources: templates by name, "" the usual one; "tool_use" is taken where there are tools. special: texts of special
    tokens as templates name them (`bos_token`). Errors: ModelFileError for one that is no Jinja.
    """

    def __init__(
        self, sources: Mapping[str, str], tokeniser: Tokeniser, special: Mapping[str, str], where: str
    ) -> None:
        self._plain = SandboxedTemplate(sources[""], where)
        self._with_tools = SandboxedTemplate(sources["tool_use"], where) if "tool_use" in sources else self._plain
        self._tokeniser, self._special, self._where = tokeniser, dict(special), where
        self.knows_tools = "tools" in self._with_tools.variables
        self.tool_format = format_of(self._with_tools.source if self.knows_tools else "")

    @property
    def shown_tokens(self) -> frozenset[int]:
        """Control tokens that must be written out in answers with tools: the reply parser reads them."""
        named = (self._tokeniser.token_of(text) for text in self.tool_format.marks)
        return frozenset(token for token in named if token is not None)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],  # Any: OpenAI's messages, checked by the door
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: str | Mapping[str, Any] = "auto",
        options: Mapping[str, Any] | None = None,
    ) -> ChatPrompt:
        """Return a conversation as a prompt. What users wrote never becomes a control token.

        A model whose template knows no tools is told of them in a system message (`tools/default_prompt.py`).
        Errors: InputError naming the message that the template refuses, or a tool that is wrong; UnsupportedError for
        content that is no text; ModelFileError for a template that the sandbox stops; TooLargeError.
        """
        wanted = checked_tools(tools, tool_choice)
        template = self._with_tools if wanted.tools else self._plain
        given = prepared_messages(messages, template.source)
        if not self.knows_tools:
            given = told_in_messages(given, wanted.tools, has_system=bool(wanted.tools) and self._has_system())
        variables: dict[str, object] = {"add_generation_prompt": True, **(options or {})}
        variables |= {"messages": given, "tools": list(wanted.tools) if wanted.tools and self.knows_tools else None}
        breaker = breaker_for(variables, template.source)
        variables = {key: broken(value, self._tokeniser.control, breaker) for key, value in variables.items()}
        text = self._rendered(template, {"documents": None, **self._special, **variables})
        return ChatPrompt(
            text=text.replace(breaker, ""),
            tokens=self._tokeniser.encode_template(text, breaker),
            grammar=tools_grammar(wanted, self.tool_format, self._tokeniser),
            calls=calls_grammar(wanted, self.tool_format, self._tokeniser),
        )

    def _rendered(self, template: SandboxedTemplate, variables: dict[str, object]) -> str:
        try:
            return template.render(variables)
        except SecurityError as error:
            if "more than" in str(error):
                raise TooLargeError("$.messages", limit=f"{LONGEST_TEXT} characters", got="more") from None
            raise ModelFileError(f"the chat template is stopped: {error}", where=self._where) from None
        except (TemplateRefusedError, jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
            where = self._refused_at(template, variables)
            raise InputError(f"the chat template refuses it: {error}", where=where) from None
        except (RecursionError, LookupError, AttributeError) as error:
            raise ModelFileError(f"the chat template fails: {error!r}", where=self._where) from None

    def _refused_at(self, template: SandboxedTemplate, variables: dict[str, object]) -> str:
        """Return the place of the first message with which the template refuses; of all where it is none alone."""
        messages = variables["messages"]
        assert isinstance(messages, list)
        for many in range(1, min(len(messages), _MOST_TRIED) + 1):
            try:
                template.render({**variables, "messages": messages[:many]})
            except Exception:  # noqa: BLE001  whatever a template does: it is asked only whether it succeeds
                return f"$.messages[{many - 1}]"
        return "$.messages"

    def _has_system(self) -> bool:
        """Return whether the template writes a system message."""
        mark = "a system's text"
        messages: list[Message] = [{"role": "system", "content": mark}, {"role": "user", "content": "a user's"}]
        try:
            return mark in self._plain.render({**self._special, "messages": messages, "add_generation_prompt": True})
        except Exception:  # noqa: BLE001  whatever a template does: it is asked only whether it succeeds
            return False
