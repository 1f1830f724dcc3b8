"""A sandbox for chat templates: Jinja as transformers sets it up, with bounds on what a template may do.

A template is code that came with a model's weights. It may not reach attributes of objects or change its arguments
(Jinja's own sandbox), not run for long (each turn of a loop is counted) and not grow large (texts that come of `~`,
`+`, `*`, `replace` and the like are measured, and what it writes is). Source of the names it knows: transformers,
`utils/chat_template_utils.py`.
"""

import datetime
import json
from collections.abc import Mapping
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hekla.base.errors import ModelFileError

MOST_TURNS = 20_000  # of all loops together, besides those that messages need
LONGEST_TEXT = 16 << 20  # characters
LONGEST_TEMPLATE = 1 << 20  # characters
# Filters that make much of little, and that no chat template needs.
_FORBIDDEN_FILTERS = ("center", "format", "filesizeformat", "pprint", "random", "urlize", "wordwrap", "xmlattr")


class TemplateRefusedError(Exception):
    """A template called `raise_exception`: it does not take these messages."""


class _GenerationTag(Extension):
    """`{% generation %} ... {% endgeneration %}`, which marks what a model is trained on and writes its body."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, counting. One is made for each rendering: it holds what was used."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, most_turns: int) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols])
        self._turns_left = most_turns
        for name in _FORBIDDEN_FILTERS:
            del self.filters[name]
        self.globals.clear()
        self.filters["tojson"] = _to_json
        self.globals |= {
            "raise_exception": _refuse,
            "strftime_now": _strftime_now,
            "range": self._range,
            "namespace": jinja2.utils.Namespace,
            "dict": dict,
            "_turn": self._turn,
            "_joined": self._joined,
        }

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # Any: a template's values
        """Compute, but not into what is large."""
        if operator == "**":
            raise SecurityError("** is not allowed")
        if operator == "*":
            many = max((len(side) for side in (left, right) if isinstance(side, str | list | tuple)), default=0)
            times = max((side for side in (left, right) if isinstance(side, int)), default=0)
            if many * times > LONGEST_TEXT or not all(_is_small(side) for side in (left, right)):
                raise SecurityError("a product is too large")
        if operator == "%" and isinstance(left, str | bytes):
            raise SecurityError("% on texts is not allowed")
        return self._measured(super().call_binop(context, operator, left, right))

    def call(self, context: Any, called: Any, *args: Any, **named: Any) -> Any:  # Any: a template's values
        """Call, and measure what comes of it."""
        if getattr(called, "__name__", "") in (
            "center",
            "ljust",
            "rjust",
            "zfill",
            "expandtabs",
            "format",
            "format_map",
        ):
            raise SecurityError(f"{called.__name__} is not allowed")
        if getattr(called, "__name__", "") == "replace" and len(args) > 1:
            text, new = getattr(called, "__self__", ""), args[1]
            if isinstance(text, str) and isinstance(new, str) and len(text) * max(1, len(new)) > LONGEST_TEXT * 64:
                raise SecurityError("a text is too long")
        return self._measured(super().call(context, called, *args, **named))

    def _turn(self) -> str:
        self._turns_left -= 1
        if self._turns_left < 0:
            raise SecurityError("its loops turn too often")
        return ""

    def _range(self, *bounds: int) -> range:
        found = range(*bounds)
        if len(found) > self._turns_left:
            raise SecurityError("its loops turn too often")
        return found

    def _joined(self, *parts: object) -> str:
        return str(self._measured("".join(str(part) for part in parts)))

    @staticmethod
    def _measured(found: Any) -> Any:  # Any: a template's values
        if isinstance(found, str | list | tuple) and len(found) > LONGEST_TEXT:
            raise SecurityError("a text is too long")
        return found


class SandboxedTemplate:
    """A chat template, parsed once and rendered in a sandbox of its own each time.

    Errors: ModelFileError for a template that is no Jinja, or far too long.
    """

    def __init__(self, source: str, where: str) -> None:
        self.source, self.where = source, where
        if len(source) > LONGEST_TEMPLATE:
            raise ModelFileError(f"a chat template of {len(source)} characters", where=where)
        environment = _BoundedEnvironment(0)
        try:
            tree = environment.parse(source)
            self.variables = frozenset(find_undeclared_variables(tree))
            self._code = environment.compile(_counted(tree))
        except (jinja2.TemplateError, RecursionError) as error:
            raise ModelFileError(f"the chat template is no Jinja: {error}", where=where) from None

    def render(self, variables: Mapping[str, object], *, longest: int = LONGEST_TEXT) -> str:
        """Return what the template writes.

        Errors: TemplateRefusedError with the template's words; jinja2.TemplateError for what it cannot compute, of
        which SecurityError is what it must not.
        """
        items = sum(len(value) for value in variables.values() if isinstance(value, list | tuple))
        environment = _BoundedEnvironment(MOST_TURNS + 1000 * items)
        template = environment.template_class.from_code(environment, self._code, environment.globals)
        parts: list[str] = []
        length = 0
        for part in template.generate(**variables):
            parts.append(part)
            length += len(part)
            if length > longest:
                raise SecurityError(f"it writes more than {longest} characters")
        return "".join(parts)


def _counted(tree: nodes.Template) -> nodes.Template:
    """Return the template with every turn of a loop and every call of a macro counted, and every `~` measured."""
    for found in tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock)):
        assert isinstance(found, nodes.For | nodes.Macro | nodes.CallBlock)
        found.body.insert(0, nodes.ExprStmt(_call("_turn", [])))
    _measure_joins(tree)
    tree.set_environment(tree.environment)  # type: ignore[arg-type]  # a parsed template has one
    return tree


def _measure_joins(node: nodes.Node) -> None:
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Concat):
            setattr(node, name, _call("_joined", value.nodes))
        elif isinstance(value, list):
            joined = [_call("_joined", item.nodes) if isinstance(item, nodes.Concat) else item for item in value]
            setattr(node, name, joined)
    for child in node.iter_child_nodes():
        _measure_joins(child)


def _call(name: str, arguments: list[nodes.Expr]) -> nodes.Call:
    return nodes.Call(nodes.Name(name, "load"), arguments, [], None, None)


def _is_small(value: object) -> bool:
    return not isinstance(value, int) or abs(value) < 1 << 64


def _refuse(message: str) -> NoReturn:
    raise TemplateRefusedError(str(message))


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().astimezone().strftime(form)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return JSON as transformers writes it: Jinja's own filter escapes for HTML."""
    if indent is not None and not 0 <= indent <= 16:
        raise SecurityError("an indent above 16")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
