"""Which grammar a request gets that has a form and tools."""

from typing import Any, cast

import pytest

from hekla.base.errors import InputError
from hekla.protocols.text_engine import ChatPrompt, Grammar, RequestId, TextEngine, TextModelInfo, TextRequest
from hekla.serve.text.prepare import Terms, prepare
from hekla.serve.text.wish import Conversation, TextWish

FORM = Grammar("json_object", "{}")
CALLS = Grammar("regex", "call")
MUST = Grammar("regex", "must")
TOOLS: Any = [{"type": "function", "function": {"name": "add"}}]  # Any: OpenAI's tools


class Writer:
    """What `prepare` asks of an engine, writing one prompt and noting which grammars are checked."""

    info = TextModelInfo("m", "f", "Q", 1, 100, 256, True, True)

    def __init__(self, **written: Grammar) -> None:
        self._prompt = ChatPrompt("p", (1,), **written)  # type: ignore[arg-type]  # only grammars are given
        self.checked: list[Grammar | None] = []

    def render_chat(self, *_: object, **__: object) -> ChatPrompt:
        """Return the prompt."""
        return self._prompt

    def check(self, request: TextRequest) -> None:
        """Note what is checked."""
        self.checked.append(request.grammar)


def grammar_of(writer: Writer, tool_choice: str = "auto", tools: Any = TOOLS, form: Grammar | None = FORM) -> Any:
    """Return the grammar of the request made."""
    wish = TextWish((Conversation((), tools, tool_choice),), grammar=form, grammar_where="$.response_format")
    engine = cast(TextEngine, writer)  # of whose promises `prepare` needs these
    (request,) = prepare(engine, wish, Terms(0, None, False), [RequestId(1)])
    return request.grammar


def test_an_answer_is_of_the_form_or_calls_where_both_may_be() -> None:
    either = Grammar("regex", "call", otherwise=FORM)
    assert grammar_of(Writer(calls=CALLS)) == either
    assert grammar_of(Writer(calls=CALLS), form=None) is None
    assert grammar_of(Writer(), "none") == FORM
    assert grammar_of(Writer(), tools=()) == FORM


def test_a_call_that_is_demanded_goes_before_the_form_which_is_checked_all_the_same() -> None:
    writer = Writer(grammar=MUST, calls=CALLS)
    assert grammar_of(writer, "required") == MUST
    assert writer.checked == [MUST, FORM]


def test_a_model_whose_calls_look_like_any_object_cannot_have_both() -> None:
    with pytest.raises(InputError, match="cannot be told from an answer that has a form") as caught:
        grammar_of(Writer())
    assert caught.value.where == "$.response_format"
