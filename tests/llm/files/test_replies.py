"""Tool calls in answers: found wherever the pieces are cut, and what is no call comes out as it was."""

import json
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hekla.llm.tools import reply_parser
from hekla.llm.tools.formats import HERMES, LLAMA3, MISTRAL, ToolFormat, format_of

TOOLS = [{"type": "function", "function": {"name": "f"}}]
Calls = dict[int, list[str]]


def read(form: ToolFormat, pieces: list[str]) -> tuple[str, Calls]:
    """Return an answer's text, and its calls: name and arguments by index."""
    parser = reply_parser(form, TOOLS)
    text, calls, ids = "", Calls(), set()
    for at, piece in enumerate(pieces):
        for found in parser.feed(piece, is_end=at == len(pieces) - 1):
            text += found.text
            for call in found.tool_calls:
                if call.index not in calls:
                    assert call.name
                    assert call.call_id not in ids
                    ids.add(call.call_id)
                    calls[call.index] = [call.name, ""]
                else:
                    assert not call.name
                    assert not call.call_id
                calls[call.index][1] += call.arguments
    assert list(calls) == list(range(len(calls)))
    return text, calls


WEATHER = '{"name": "weather", "arguments": {"city": "Wien }\\"{", "days": [1, {"a": 2}]}}'
ARGUMENTS = '{"city": "Wien }\\"{", "days": [1, {"a": 2}]}'
CASES: list[tuple[ToolFormat, str, str, Calls]] = [
    (HERMES, "hello", "hello", {}),
    (HERMES, "", "", {}),
    (HERMES, f"<tool_call>\n{WEATHER}\n</tool_call>", "", {0: ["weather", ARGUMENTS]}),
    (
        HERMES,
        f"Sure.\n<tool_call>\n{WEATHER}\n</tool_call>\n<tool_call>{WEATHER}</tool_call>\n",
        "Sure.\n",
        {0: ["weather", ARGUMENTS], 1: ["weather", ARGUMENTS]},
    ),
    (HERMES, f"<tool_call>{WEATHER}</tool_call> Done.", " Done.", {0: ["weather", ARGUMENTS]}),
    (HERMES, '<tool_call>{"arguments": {"z": 1}, "name": "f"}</tool_call>', "", {0: ["f", '{"z": 1}']}),
    (HERMES, '<tool_call>{"name": "f"}</tool_call>', "", {0: ["f", "{}"]}),
    (HERMES, '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', "", {0: ["f", '{"a": 1}']}),
    (HERMES, '<tool_call>{"name": "f", "arguments": {}, "id": {"x": 1}}</tool_call>', "", {0: ["f", "{}"]}),
    (HERMES, '<tool_call>{"name": "f", "arguments": {"a": 1', "", {0: ["f", '{"a": 1']}),
    (HERMES, "a <tool_call> no json </tool_call> b", "a <tool_call> no json </tool_call> b", {}),
    (HERMES, '<tool_call>\n{"a": 1}</tool_call> z', '<tool_call>\n{"a": 1}</tool_call> z', {}),
    (HERMES, '<tool_call>\n{"nam', '<tool_call>\n{"nam', {}),
    (HERMES, "x <tool_c", "x <tool_c", {}),
    (HERMES, "<tool_call>", "<tool_call>", {}),
    (HERMES, '{"name": "f", "arguments": {}}', '{"name": "f", "arguments": {}}', {}),
    (
        MISTRAL,
        '[TOOL_CALLS] [{"name": "f", "arguments": {"a": [1]}}, {"name": "g", "arguments": {}}]',
        "",
        {0: ["f", '{"a": [1]}'], 1: ["g", "{}"]},
    ),
    (MISTRAL, "a list [1, 2]", "a list [1, 2]", {}),
    (
        MISTRAL,
        'Sure.[TOOL_CALLS]f[ARGS]{"a": {"b": 1}}[TOOL_CALLS]g[CALL_ID]x1[ARGS]{}',
        "Sure.",
        {0: ["f", '{"a": {"b": 1}}'], 1: ["g", "{}"]},
    ),
    (MISTRAL, '[TOOL_CALLS]f{"a": 1} Done.', " Done.", {0: ["f", '{"a": 1}']}),
    (MISTRAL, "[TOOL_CALLS]hello there", "[TOOL_CALLS]hello there", {}),
    (MISTRAL, "[TOOL_CALLS]f[ARGS]", "[TOOL_CALLS]f[ARGS]", {}),
    (LLAMA3, '{"name": "f", "parameters": {"a": 1}}', "", {0: ["f", '{"a": 1}']}),
    (
        LLAMA3,
        '<|python_tag|>{"name": "f", "parameters": {}}; {"name": "g", "parameters": {}}',
        "",
        {0: ["f", "{}"], 1: ["g", "{}"]},
    ),
    (LLAMA3, ' {"foo": 1} yes', ' {"foo": 1} yes', {}),
    (LLAMA3, 'Hi {"name": "f", "parameters": {}}', 'Hi {"name": "f", "parameters": {}}', {}),
]


@pytest.mark.parametrize(("form", "answer", "text", "calls"), CASES)
def test_an_answer_is_read_whole_and_character_by_character(
    form: ToolFormat, answer: str, text: str, calls: Calls
) -> None:
    assert read(form, [answer]) == (text, calls)
    assert read(form, [*answer, ""]) == (text, calls)


@given(st.sampled_from(CASES), st.lists(st.integers(0, 120), max_size=12))
def test_it_does_not_matter_where_the_pieces_are_cut(case: tuple[ToolFormat, str, str, Calls], cuts: list[int]) -> None:
    form, answer, text, calls = case
    places = sorted({0, *(min(cut, len(answer)) for cut in cuts), len(answer)})
    pieces = [answer[start:end] for start, end in pairwise(places)] or [answer]
    assert read(form, pieces) == (text, calls)


FRAGMENTS = [
    "<tool_call>",
    "</tool_call>",
    "[TOOL_CALLS]",
    "<|python_tag|>",
    '{"name": "f", "arguments": {',
    "}",
    "[",
    "]",
]


@given(
    st.sampled_from([HERMES, MISTRAL, LLAMA3]),
    st.lists(st.one_of(st.text(max_size=5), st.sampled_from(FRAGMENTS)), max_size=12),
)
@example(LLAMA3, ['{"name": "f", "arguments": {', "}"])
def test_nothing_a_model_writes_raises_and_pieces_change_nothing(form: ToolFormat, pieces: list[str]) -> None:
    answer = "".join(pieces)
    assert read(form, [*answer, ""]) == read(form, [answer, ""]) == read(form, [*pieces, ""])


@given(st.sampled_from([HERMES, MISTRAL, LLAMA3]), st.text(alphabet='ab {}[]<tool_call>"\\', max_size=40))
def test_an_answer_without_a_call_comes_out_as_it_was(form: ToolFormat, answer: str) -> None:
    text, calls = read(form, [*answer, ""])
    assert calls or text == answer


def test_arguments_are_passed_on_while_they_come() -> None:
    parser = reply_parser(HERMES, TOOLS)
    assert parser.feed('<tool_call>\n{"name": "f", "argum') == []
    first = parser.feed('ents": {"a": "l')
    assert [(call.name, call.arguments) for piece in first for call in piece.tool_calls] == [("f", '{"a": "l')]
    more = parser.feed("ong")
    assert [call.arguments for piece in more for call in piece.tool_calls] == ["ong"]


def test_without_tools_everything_is_text() -> None:
    parser = reply_parser(HERMES)
    assert [piece.text for piece in parser.feed("<tool_call>{}", is_end=True)] == ["<tool_call>{}"]
    assert parser.feed("") == ()


def test_mistrals_ids_have_nine_letters() -> None:
    parser = reply_parser(MISTRAL, TOOLS)
    pieces = parser.feed('[TOOL_CALLS][{"name": "f", "arguments": {}}]', is_end=True)
    assert len(pieces[0].tool_calls[0].call_id) == 9


def test_the_format_is_the_one_the_template_teaches() -> None:
    assert format_of("") is HERMES
    assert format_of("{{ '<tool_call>' }}") is HERMES
    assert format_of("{{ '[TOOL_CALLS]' }}") is MISTRAL
    assert format_of('{"name": function name, "parameters": ...}') is LLAMA3


def test_the_arguments_of_a_call_are_json() -> None:
    _, calls = read(HERMES, list(f"<tool_call>{WEATHER}</tool_call>"))
    assert json.loads(calls[0][1]) == {"city": 'Wien }"{', "days": [1, {"a": 2}]}
