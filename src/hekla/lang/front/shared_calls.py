"""The methods of an Atomic, the functions of the same name on plain integers, and their orders."""

import ast
from typing import TYPE_CHECKING

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.front.calls import keywords_of
from hekla.lang.front.known import Value

if TYPE_CHECKING:
    from hekla.lang.front.expressions import Expressions

UPDATES = ("add", "min", "max", "exchange", "compare_exchange")
ATOMIC = ("load", "store", *UPDATES)
_ORDERS = {
    "load": ("relaxed", "acquire", "seq_cst"),
    "store": ("relaxed", "release", "seq_cst"),
    "update": ("relaxed", "acquire", "release", "acq_rel", "seq_cst"),
}
_VALUES = {"load": 0, "compare_exchange": 2}
_WAIT_CURE = "say why somebody will wake it: wait(seen, unproved='the reason')"


def value_count(how: str) -> int:
    """How many values an atomic operation takes besides its place."""
    return _VALUES.get(how, 1)


def atomic_operation(
    x: "Expressions", how: str, place: hir.Place, element: t.ScalarType, values: list[ast.expr], node: ast.Call
) -> hir.Expr:
    """Return an atomic operation on a place of scalar type; all but the store give what was there before."""
    keywords = keywords_of(x, node, "order")
    order = x.known(keywords["order"], "order=") if "order" in keywords else "seq_cst"
    allowed = _ORDERS.get(how, _ORDERS["update"])
    if order not in allowed:
        x.context.wrong(f"order={order!r} is not one for this operation", node, f"use {', '.join(allowed)}")
    given = [x.typed(a, element, "the value") for a in values]
    result = t.none if how == "store" else element
    return hir.Op(result, x.context.span(node), f"memref.atomic_{how}", [place, *given], {"order": order})


def atomic_method(x: "Expressions", target: hir.Expr, kind: t.AtomicType, node: ast.Call) -> Value:
    """`a.add(1, order="relaxed")` on an Atomic, `a.wait(seen, unproved=...)` and `a.wake(n)` on one of 32 bits."""
    assert isinstance(node.func, ast.Attribute)
    how, element = node.func.attr, kind.element
    if not isinstance(target, hir.Place):
        x.context.wrong(f"this {kind} has no place in memory", node, "assign it to a variable first")
    place = hir.Place(element, x.context.span(node.func.value), target.root, (*target.steps, 0))
    if how in ATOMIC:
        _count(x, node, value_count(how))
        return atomic_operation(x, how, place, element, node.args, node)
    if how not in ("wait", "wake"):
        x.context.wrong(f"{kind} has no method {how!r}", node, f"it has {', '.join((*ATOMIC, 'wait', 'wake'))}")
    if element.bits != 32:
        x.context.wrong(f"{how}() is for 32 bits, got {kind}", node, "use Atomic[u32]")
    _count(x, node, 1)
    keywords = keywords_of(x, node, *(("unproved",) if how == "wait" else ()))
    attrs = {}
    if how == "wait":
        reason = x.known(keywords["unproved"], "unproved=") if "unproved" in keywords else ""
        if not isinstance(reason, str) or not reason:
            x.context.wrong("nothing shows that this wait() ends", node, _WAIT_CURE)
        attrs["unproved"] = reason
    wanted = element if how == "wait" else t.i32
    value = x.typed(node.args[0], wanted, "the value" if how == "wait" else "how many to wake")
    return hir.Op(t.none, x.context.span(node), f"memref.atomic_{how}", [place, value], attrs)


def _count(x: "Expressions", node: ast.Call, wanted: int) -> None:
    if len(node.args) != wanted:
        x.context.wrong(f"{ast.unparse(node.func)}() takes {wanted} values, got {len(node.args)}", node)
