"""Which tools a request offers, and the grammar that holds an answer to them where `tool_choice` asks for it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hekla.base.errors import InputError, nearest_name, quoted
from hekla.llm.tokenise.tokeniser import Tokeniser
from hekla.llm.tools.formats import ToolFormat
from hekla.protocols.text_engine import Grammar

_MOST_CALLS = 8  # of one answer, where a grammar holds it


@dataclass(frozen=True, slots=True)
class OfferedTools:
    """Tools that a model is told of, and those of them it must call."""

    tools: tuple[Mapping[str, Any], ...]  # Any: OpenAI's tools
    must_call: tuple[Mapping[str, Any], ...] = ()  # functions, one of which the answer must call; () it may
    is_one_call: bool = False


def checked_tools(tools: Sequence[Mapping[str, Any]], tool_choice: str | Mapping[str, Any]) -> OfferedTools:
    """Return what a request offers. Errors: InputError naming the place."""
    functions = {}
    for at, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise InputError("expected a function with a name", where=f"$.tools[{at}].function")
        if not isinstance(function.get("parameters", {}), Mapping | None):
            raise InputError("expected a JSON schema", where=f"$.tools[{at}].function.parameters")
        functions[function["name"]] = function
    if isinstance(tool_choice, Mapping):
        inner = tool_choice.get("function", tool_choice)
        name = inner.get("name") if isinstance(inner, Mapping) else None
        if not isinstance(name, str) or name not in functions:
            cure = nearest_name(name, functions) if isinstance(name, str) else "name a function"
            raise InputError(f"no tool is named {quoted(name)}", where="$.tool_choice.function.name", cure=cure)
        return OfferedTools(tuple(tools), (functions[name],), is_one_call=True)
    if tool_choice == "none":
        return OfferedTools(())
    if tool_choice == "required":
        if not functions:
            raise InputError("a tool is required and none is given", where="$.tool_choice", cure="give tools")
        return OfferedTools(tuple(tools), tuple(functions.values()))
    if tool_choice != "auto":
        raise InputError(
            f"expected none, auto, required or a function, got {quoted(tool_choice)}", where="$.tool_choice"
        )
    return OfferedTools(tuple(tools))


def tools_grammar(wanted: OfferedTools, form: ToolFormat, tokeniser: Tokeniser) -> Grammar | None:
    """Return the grammar of an answer that must call a tool; None where it need not."""
    return _calls(wanted.must_call, form, tokeniser, is_one_call=wanted.is_one_call) if wanted.must_call else None


def calls_grammar(wanted: OfferedTools, form: ToolFormat, tokeniser: Tokeniser) -> Grammar | None:
    """Return the grammar of calls of any tools offered; None without tools, or where a call looks like any object."""
    if not wanted.tools or form.begins_without_opening:
        return None
    return _calls([tool["function"] for tool in wanted.tools], form, tokeniser, is_one_call=False)


def _calls(
    functions: Sequence[Mapping[str, Any]], form: ToolFormat, tokeniser: Tokeniser, *, is_one_call: bool
) -> Grammar:
    """Return the grammar of calls in llguidance's Lark: a name, then arguments of the function's own schema."""
    rules, calls = [], []
    for at, function in enumerate(functions):
        schema = function.get("parameters") or {"type": "object"}
        opening = f'{{"name": {json.dumps(function["name"], ensure_ascii=False)}, "{form.arguments_key}": '
        rules.append(f"arguments_{at}: %json {json.dumps(schema)}")
        rules.append(f'call_{at}: {json.dumps(opening)} arguments_{at} "}}"')
        calls.append(f"call_{at}")
    rules.append(f"call: {' | '.join(calls)}")
    more = 0 if is_one_call else _MOST_CALLS - 1
    opening = _mark(form.opening, tokeniser)
    if form.is_list:
        start = f'{opening} "[" call (", " call){{0,{more}}} "]"'
    elif form.closing:
        rules.append(f'block: {opening} "\\n" call "\\n" {_mark(form.closing, tokeniser)}')
        start = f'block ("\\n" block){{0,{more}}}'
    else:
        start = "call"
    return Grammar("lark", "\n".join([f"start: {start}", *rules]) + "\n")


def _mark(text: str, tokeniser: Tokeniser) -> str:
    """Return a mark as Lark has it: a control token by number, anything else as text."""
    token = tokeniser.token_of(text)
    return f"<[{token}]>" if token is not None and tokeniser.is_control(token) else json.dumps(text)
