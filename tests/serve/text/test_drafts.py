"""What comes of an answer, piece by piece."""

import pytest

from hekla.engines.ngram.chat import CallParser
from hekla.protocols.text_engine import FinishReason, RequestId, TokenEvent
from hekla.serve.openai.draft import Draft

TWO_CALLS = (
    'Look: <tool_call>{"name": "a", "arguments": {"x": 1}}</tool_call>'
    '<tool_call>{"name": "b", "arguments": {}}</tool_call>'
)


def feed(draft: Draft, text: str, reason: FinishReason = "stop") -> None:
    """Feed a text letter by letter, then the end."""
    for letter in text:
        draft.add(TokenEvent(RequestId(1), ord(letter), letter))
    draft.add(TokenEvent(RequestId(1), None, "", reason))


@pytest.mark.parametrize(
    ("reason", "finish", "stop"),
    [
        ("stop", "stop", None),
        ("length", "length", None),
        ("cancelled", "length", "server_stopping"),
        ("deadline", "length", "deadline"),
    ],
)
def test_the_ends_an_engine_knows_have_openais_names(reason: FinishReason, finish: str, stop: str | None) -> None:
    draft = Draft(0, None)
    feed(draft, "hi", reason)
    assert (draft.take_text(), draft.finish_reason, draft.stop_reason, draft.tokens) == ("hi", finish, stop, 2)


def test_pieces_of_calls_are_joined_by_call() -> None:
    draft = Draft(0, CallParser(True))
    feed(draft, TWO_CALLS)
    first, second = draft.take_calls()
    assert (first.name, first.arguments, second.name, second.arguments) == ("a", '{"x": 1}', "b", "{}")
    assert first.call_id != second.call_id
    assert (draft.take_text(), draft.finish_reason) == ("Look: ", "tool_calls")


def test_where_one_call_is_allowed_a_second_ends_the_answer() -> None:
    draft = Draft(0, CallParser(True), may_call_once=True)
    feed(draft, TWO_CALLS)
    (call,) = draft.take_calls()
    assert (call.name, call.arguments, draft.finish_reason) == ("a", '{"x": 1}', "tool_calls")
    assert draft.tokens < len(TWO_CALLS)


def test_an_answer_cut_short_in_a_call_says_so() -> None:
    draft = Draft(0, CallParser(True))
    feed(draft, TWO_CALLS[:50], "length")
    assert draft.finish_reason == "length"
    assert draft.has_called
