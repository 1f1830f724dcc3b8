"""A kernel as written: the Python function, parsed once, and the names it can see."""

import ast
import builtins
import inspect
import types
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType
from typing import Any

from hekla.base.errors import ConfigError
from hekla.lang import types as t
from hekla.lang.demand import VectorDemand
from hekla.lang.errors import UnsupportedPythonError
from hekla.lang.source import Span, function_text, parse_function, span_of, words_of

VISIBLE_BUILTINS = (
    "len",
    "min",
    "max",
    "abs",
    "range",
    "int",
    "float",
    "bool",
    "True",
    "False",
    "None",
    "isinstance",
    "print",
)


@dataclass(frozen=True, slots=True)
class Missing:
    """The answer for a name that is nowhere."""


@dataclass(frozen=True)
class Definition:
    """One @kernel function; equal only to itself."""

    function: FunctionType
    inline: bool = False
    demand: VectorDemand | None = None
    holds: str = ""  # what whoever calls it holds, and
    waits_for: str = ""  # what it may wait for besides locks: actors, in the words of lock_order.py

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def name(self) -> str:
        """The function's own name."""
        return self.function.__name__

    @cached_property
    def text(self) -> tuple[str, int, str, tuple[str, ...]] | None:
        """(file, first line, source, words in it), read without parsing; None where no source is kept."""
        found = function_text(self.function)
        return None if found is None else (*found, words_of(found[2]))

    @cached_property
    def parsed(self) -> tuple[str, ast.FunctionDef]:
        """(file, syntax tree). Errors: ConfigError when the source text cannot be had."""
        found = parse_function(self.function)
        if found is None:
            raise ConfigError(
                f"the source of kernel {self.name!r} cannot be read",
                cure="define kernels in a file, not in exec or stdin",
            )
        file, node = found
        if isinstance(node, ast.AsyncFunctionDef):
            raise UnsupportedPythonError(
                "an async function is not part of the language",
                span=span_of(file, node),
                cure="write def: a kernel runs to its end",
            )
        return file, node

    @property
    def file(self) -> str:
        """The author's file."""
        return self.parsed[0]

    @property
    def node(self) -> ast.FunctionDef:
        """The syntax tree, with the file's own positions."""
        return self.parsed[1]

    @cached_property
    def _spans(self) -> dict[ast.AST, Span]:
        return {}

    def span(self, node: ast.AST) -> Span:
        """Return the place of a node; unrolled loops ask for the same ones again and again."""
        found = self._spans.get(node)
        if found is None:
            found = self._spans[node] = span_of(self.file, node)
        return found

    @property
    def name_span(self) -> Span:
        """The place of the function's name."""
        line = self.node.lineno
        column = self.node.col_offset + len("def ") + 1
        return Span(self.file, line, column, column + len(self.name))

    @cached_property
    def closure(self) -> dict[str, Any]:  # Any: whatever the author's names stand for
        """The names of enclosing functions."""
        cells = self.function.__closure__ or ()
        names = zip(self.function.__code__.co_freevars, cells, strict=True)
        return {name: cell.cell_contents for name, cell in names if cell != types.CellType()}

    def lookup(self, name: str) -> Any:  # Any: see closure
        """Return what a free name stands for, or Missing()."""
        if name in self.closure:
            return self.closure[name]
        if name in self.function.__globals__:
            return self.function.__globals__[name]
        if name in VISIBLE_BUILTINS:
            return getattr(builtins, name)
        return Missing()

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The names of the run-time parameters, read without parsing."""
        code = self.function.__code__
        return code.co_varnames[: code.co_argcount]

    @cached_property
    def stated_types(self) -> list[t.Type] | None:
        """The types of the run-time parameters as Python has evaluated them, None where only the front end can say."""
        code = self.function.__code__
        unusual = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS) or self.function.__defaults__
        given = [self.function.__annotations__.get(name) for name in self.parameter_names]
        stated = [kind for kind in given if isinstance(kind, t.Type)]
        return None if unusual or len(stated) < len(given) else stated

    @cached_property
    def signature(self) -> "Signature":
        """The parameters as written. Errors: UnsupportedPythonError for *args and the like."""
        arguments = self.node.args
        for extra in (arguments.vararg, arguments.kwarg):
            if extra is not None:
                raise UnsupportedPythonError(
                    f"*{extra.arg}: a kernel has a fixed number of parameters",
                    span=self.span(extra),
                    cure="name each one",
                )
        if arguments.defaults:
            raise UnsupportedPythonError(
                "default values belong to compile-time parameters only",
                span=self.span(arguments.defaults[0]),
                cure="put the parameter after a bare * and call it Const, or drop the default",
            )
        if arguments.posonlyargs:
            raise UnsupportedPythonError(
                "a bare / in the parameters", span=self.span(arguments.posonlyargs[0]), cure="drop it"
            )
        return Signature(tuple(arguments.args), tuple(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)))


@dataclass(frozen=True, slots=True)
class Signature:
    """Run-time parameters, and compile-time ones (after the bare *) with their defaults."""

    runtime: tuple[ast.arg, ...]
    comptime: tuple[tuple[ast.arg, ast.expr | None], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the run-time parameters."""
        return tuple(a.arg for a in self.runtime)


def definition_of(value: object) -> Definition | None:
    """Return the definition behind a kernel object, None for anything else."""
    found = getattr(value, "definition", None)
    return found if isinstance(found, Definition) else None


def mentions_parameters(kind: object) -> bool:
    """True where a type still has TypeParams or ConstParams in it."""
    return bool(parameters_in(kind))


def parameters_in(kind: object) -> list[str]:
    """Return the names of the TypeParams and ConstParams in a type."""
    if isinstance(kind, t.TypeParam | t.ConstParam):
        return [kind.name]
    if isinstance(kind, t.VecType):
        return [*parameters_in(kind.element), *parameters_in(kind.lanes)]
    if isinstance(kind, t.ArrayType):
        return [*parameters_in(kind.element), *parameters_in(kind.length)]
    if isinstance(kind, t.ViewType):
        return [*parameters_in(kind.element), *parameters_in(kind.rank)]
    return parameters_in(kind.element) if isinstance(kind, t.BufferType) else []
