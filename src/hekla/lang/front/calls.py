"""Reading the calls of the language's own functions: counts, keywords, types."""

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.front.known import Known, Value, evaluate
from hekla.lang.front.operators import type_text
from hekla.lang.surface import Vec

if TYPE_CHECKING:
    from hekla.lang.front.expressions import Expressions

Handler = Callable[["Expressions", ast.Call], Value]


def positional(x: "Expressions", node: ast.Call, *counts: int) -> list[Value]:
    if len(node.args) not in counts:
        wanted = " or ".join(map(str, counts))
        x.context.wrong(f"{ast.unparse(node.func)}() takes {wanted} values, got {len(node.args)}", node)
    return [x.value(a) for a in node.args]


def keywords_of(x: "Expressions", node: ast.Call, *allowed: str) -> dict[str, ast.expr]:
    found = {k.arg or "**": k.value for k in node.keywords}
    for name, value in found.items():
        if name not in allowed:
            cure = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
            x.context.wrong(f"{ast.unparse(node.func)}() has no keyword {name!r}", value, cure)
    return found


def run_time(x: "Expressions", value: Value, node: ast.AST) -> hir.Expr:
    if isinstance(value, Known):
        x.context.wrong(f"{type_text(value)} has no type yet", node, "convert it, for example f32(...)")
    return value


def vec_type(x: "Expressions", element: object, lanes: object, node: ast.AST) -> t.VecType:
    found = evaluate(lambda: Vec[element, lanes], x.context.span(node)).value
    assert isinstance(found, t.VecType)
    return found
