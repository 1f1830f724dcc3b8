"""Functions of the language that speak to the system: texts, files, standard input and output."""

import ast
from typing import TYPE_CHECKING

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.front.calls import Handler, keywords_of, positional
from hekla.lang.front.known import Known, Value
from hekla.lang.front.operators import materialise, type_text

if TYPE_CHECKING:
    from hekla.lang.front.expressions import Expressions

MAX_TEXT = 1 << 16  # bytes of one text: more belongs in a file


def text_of(x: "Expressions", text: str, node: ast.AST) -> hir.Expr:
    """Return a view of the UTF-8 bytes of a text, which live as long as the code."""
    content = text.encode()
    if len(content) > MAX_TEXT:
        x.context.wrong(f"a text of {len(content)} bytes, the limit is {MAX_TEXT}", node, "read it from a file")
    return hir.Op(t.ViewType(t.u8, 1), x.context.span(node), "memref.text", [], {"bytes": content})


def _text(x: "Expressions", node: ast.Call) -> Value:
    """text("..."): the bytes of a constant text, as a view."""
    keywords_of(x, node)
    value = x.known(node.args[0], "a text") if len(node.args) == 1 else None
    if not isinstance(value, str):
        x.context.wrong("text() takes one constant text", node, 'for example text("hello")')
    return text_of(x, value, node)


def _dense(x: "Expressions", value: Value, node: ast.AST, *, writes: bool) -> hir.Expr:
    kind = value.type if isinstance(value, hir.Expr) else None
    if not isinstance(value, hir.Expr) or not isinstance(kind, t.ViewType) or kind.rank != 1 or kind.strided:
        cure = "lend an Array with .view() or .mut(), or write text(...)"
        x.context.wrong(f"files take a dense view of one dimension, got {type_text(value)}", node, cure)
    if kind.element == t.bool_ or not isinstance(kind.element, t.ScalarType):
        x.context.wrong(f"files take numbers, got {kind}", node)
    if writes and not kind.mutable:
        x.context.wrong(f"read() writes what it reads, and {kind} only reads", node, "lend it with .mut()")
    return value


def _transfer(name: str) -> Handler:
    def handler(x: "Expressions", node: ast.Call) -> Value:
        """write(file, view), read(file, view): how many bytes were moved; -1 where the system refuses."""
        keywords_of(x, node)
        file, view = positional(x, node, 2)
        number = materialise(file, t.i32, what="the file")
        return hir.Op(
            t.index,
            x.context.span(node),
            f"system.{name}",
            [number, _dense(x, view, node.args[1], writes=name == "read")],
        )

    return handler


def _open_file(x: "Expressions", node: ast.Call) -> Value:
    """open_file(path[, writing=True]): the number of the file; -1 where the system refuses."""
    keywords = keywords_of(x, node, "writing")
    (path,) = positional(x, node, 1)
    view = _dense(x, path, node.args[0], writes=False)
    assert isinstance(view.type, t.ViewType)
    if view.type.element != t.u8:
        x.context.wrong(f"a path is a view of u8, got {view.type}", node.args[0], 'for example text("weights.bin")')
    writing = bool(x.known(keywords["writing"], "writing=")) if "writing" in keywords else False
    return hir.Op(t.i32, x.context.span(node), "system.open", [view], {"writing": writing})


def _close_file(x: "Expressions", node: ast.Call) -> Value:
    """close_file(file)."""
    keywords_of(x, node)
    (file,) = positional(x, node, 1)
    return hir.Op(t.none, x.context.span(node), "system.close", [materialise(file, t.i32, what="the file")])


def print_call(x: "Expressions", node: ast.Call) -> list[hir.Statement]:
    """print(a, b, ...): texts and numbers with a space between and a line feed behind, as Python prints them.

    A float has six digits, as Python's format(x, ".6g") has.
    """
    from hekla.lang import printing  # which is written in the language, and so needs the front end

    keywords_of(x, node)
    made: list[hir.Statement] = []
    pending = ""

    def say(value: hir.Expr, kernel: "printing.Kernel", at: ast.AST) -> None:
        span = x.context.span(at)
        instance, args = x.context.specialiser.instance_for_call(kernel.definition, [value], {}, span)
        x.context.callees[instance.symbol] = instance
        made.append(hir.Evaluate(span, hir.Call(t.none, span, instance, args)))

    for position, argument in enumerate(node.args):
        value = x.value(argument)
        pending += " " if position else ""
        if isinstance(value, Known) and isinstance(value.value, str | bool | int):
            pending += str(value.value)
            continue
        if isinstance(value, Known) and isinstance(value.value, float):
            pending += format(value.value, ".6g")
            continue
        if pending:
            say(text_of(x, pending, argument), printing.print_text, argument)
            pending = ""
        if isinstance(value, Known):
            x.context.wrong(f"print() takes texts and numbers, got {type_text(value)}", argument)
        kind = value.type
        if kind == t.ViewType(t.u8, 1) or kind == t.ViewType(t.u8, 1, mutable=True):
            say(materialise(value, t.ViewType(t.u8, 1)), printing.print_text, argument)
        elif isinstance(kind, t.ScalarType) and kind.kind != "bool":
            wide = t.f64 if kind.kind == "float" else t.i64 if kind.signed else t.u64
            printer = {"f64": printing.print_float, "i64": printing.print_integer, "u64": printing.print_natural}
            say(x.converted(value, wide), printer[wide.name], argument)
        else:
            cure = "print numbers one by one" if kind != t.bool_ else "print it in the two branches of an if"
            x.context.wrong(f"print() takes texts and numbers, got {kind}", argument, cure)
    say(text_of(x, pending + "\n", node), printing.print_text, node)
    return made


SYSTEM_CALLS = {
    "text": _text, "write": _transfer("write"), "read": _transfer("read"),
    "open_file": _open_file, "close_file": _close_file,
}  # fmt: skip
