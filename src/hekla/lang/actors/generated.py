"""Kernels that are made from an actor's class: its handlers, what sends to it, and the loop of its thread."""

import ast
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hekla.base.errors import nearest_name
from hekla.lang import types as t
from hekla.lang.errors import KernelTypeError
from hekla.lang.front.definition import Definition
from hekla.lang.source import span_of

STATE = "self"  # the parameter that holds an actor's own fields
BOX = "box"


@dataclass(frozen=True, eq=False)
class Generated(Definition):
    """A kernel whose tree is not a function's own; `names` are known to it beside the function's."""

    tree: ast.FunctionDef = field(kw_only=True)
    path: str = field(kw_only=True)
    names: Mapping[str, Any] = field(kw_only=True)  # Any: whatever the names stand for

    __hash__ = Definition.__hash__

    @property
    def name(self) -> str:
        """What errors call it."""
        return self.tree.name

    @property
    def text(self) -> None:
        """No source is kept, so that the cache of code does not take the author's for this."""

    @property
    def stated_types(self) -> None:
        """Only the front end can say."""

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The names of the run-time parameters."""
        return tuple(a.arg for a in self.tree.args.args)

    @cached_property
    def parsed(self) -> tuple[str, ast.FunctionDef]:
        """(file, syntax tree)."""
        return self.path, self.tree

    def lookup(self, name: str) -> Any:  # Any: see names
        """Return what a free name stands for."""
        return self.names[name] if name in self.names else super().lookup(name)


def handler_tree(method: Definition, state: Sequence[str], lent: Sequence[str]) -> ast.FunctionDef:
    """Return a method as a kernel of (state record, lent views, parameters).

    `self.total` becomes a field of the record, `self.weights` the parameter that is lent.
    Errors: KernelTypeError for fields that are not there, and for `self` without a field.
    """
    tree = _Fields(method, state, lent).visit(copy.deepcopy(method.node))
    assert isinstance(tree, ast.FunctionDef)
    first, *rest = tree.args.args
    params = [_param(name, first) for name in (STATE, *map(lent_name, lent))]
    tree.args.args = [*params, *rest]
    return tree


def lent_name(name: str) -> str:
    """Return what the parameter of a lent field is called: as the author writes it."""
    return f"{STATE}.{name}"


def annotation_name(parameter: str) -> str:
    """Return the name that stands for a made parameter's type; no author can write it."""
    return f"%{parameter}"


def _param(name: str, at: ast.arg) -> ast.arg:
    kind = ast.copy_location(ast.Name(annotation_name(name), ast.Load()), at)
    return ast.copy_location(ast.arg(name, kind), at)


class _Fields(ast.NodeTransformer):
    """Turns fields of `self` into places."""

    def __init__(self, method: Definition, state: Sequence[str], lent: Sequence[str]) -> None:
        self.method, self.state, self.lent = method, state, lent
        self.own = method.node.args.args[0].arg

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not (isinstance(node.value, ast.Name) and node.value.id == self.own):
            return self.generic_visit(node)
        if node.attr in self.lent:
            return ast.copy_location(ast.Name(lent_name(node.attr), node.ctx), node)
        if node.attr not in self.state:
            known = (*self.state, *self.lent)
            raise KernelTypeError(
                f"the actor has no field {node.attr!r}",
                span=span_of(self.method.file, node),
                cure=nearest_name(node.attr, known) or "fields are the class's annotations",
            )
        record = ast.Subscript(ast.Name(STATE, ast.Load()), ast.Constant(0), ast.Load())
        made = ast.Attribute(record, node.attr, node.ctx)
        for part in (record.value, record.slice, record, made):
            ast.copy_location(part, node)
        return made

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == self.own:
            raise KernelTypeError(
                f"{self.own!r} is used by its fields only",
                span=span_of(self.method.file, node),
                cure="pass what is needed to a @kernel: self.total, say",
            )
        return node


def written(text: str, at: Definition, authors: Mapping[str, str] | None = None) -> ast.FunctionDef:
    """Return generated source as a tree; every part of it stands at the actor's method.

    Made names get a % before them, which no author can write; but for `authors`: made names and the author's own.
    """
    tree = ast.parse(text).body[0]
    assert isinstance(tree, ast.FunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.expr | ast.arg):
            node.lineno = node.end_lineno = at.node.lineno
            node.col_offset, node.end_col_offset = at.node.col_offset, at.node.col_offset + 4
    made = {a.arg for a in tree.args.args} | {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    final = {name: (authors or {}).get(name, f"%{name}") for name in made}
    for argument in tree.args.args:
        argument.annotation = _param(argument.arg, argument).annotation
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = final.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            node.arg = final[node.arg]
    return tree


def to_word(kind: t.ScalarType, value: str) -> str:
    """Return the text that packs a scalar into 64 bits."""
    if kind.kind == "float":
        bits = {16: "u16", 32: "u32", 64: "u64"}[kind.bits]
        return f"u64(bitcast({bits}, {value}))"
    return f"u64({value})"


def from_word(kind: t.ScalarType, word: str) -> str:
    """Return the text that unpacks a scalar."""
    if kind.kind == "bool":
        return f"({word} != 0)"
    if kind.kind == "float":
        bits = {16: "u16", 32: "u32", 64: "u64"}[kind.bits]
        return f"bitcast({kind}, {bits}({word}))"
    return f"{kind}({word})"
