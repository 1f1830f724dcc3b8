"""Functions of the language that touch memory: vector loads and stores, gathers, atomics, prefetch."""

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.front.calls import Handler, keywords_of, positional, run_time, vec_type
from hekla.lang.front.known import Known, Value
from hekla.lang.front.operators import as_index, materialise, type_text
from hekla.lang.front.shared_calls import ATOMIC, atomic_operation, value_count

if TYPE_CHECKING:
    from hekla.lang.front.expressions import Expressions


def _none(
    x: "Expressions", node: ast.Call, name: str, args: list[hir.Expr], **attrs: Any
) -> hir.Expr:  # Any: see hir.Op
    return hir.Op(t.none, x.context.span(node), name, args, attrs)


def _dense_view(x: "Expressions", node: ast.Call, *, writes: bool = False, dense: bool = True) -> hir.Expr:
    name = ast.unparse(node.func)
    if not node.args:
        x.context.wrong(f"{name}() takes a view first", node)
    view = x.value(node.args[0])
    if isinstance(view, Known) or not isinstance(view.type, t.ViewType):
        x.context.wrong(
            f"{name}() takes a view first, got {type_text(view)}", node.args[0], "lend an Array with .view() or .mut()"
        )
    if not isinstance(view.type.element, t.ScalarType):
        x.context.wrong(f"{name}() needs a view of scalars, got {view.type}", node.args[0])
    if writes and not view.type.mutable:
        x.context.wrong(
            f"{name}() writes, and {view.type} only reads", node.args[0], "declare the parameter as MutView"
        )
    if dense and view.type.strided:
        x.context.wrong(f"{name}() needs neighbours in memory, got {view.type}", node.args[0], "use gather and scatter")
    return view


def _indices(x: "Expressions", nodes: list[ast.expr], view: hir.Expr, node: ast.AST) -> list[hir.Expr]:
    assert isinstance(view.type, t.ViewType)
    if len(nodes) != view.type.rank:
        x.context.wrong(f"{view.type} takes {view.type.rank} indices, got {len(nodes)}", node)
    return [as_index(x.value(n), "an index") for n in nodes]


def _mask(x: "Expressions", keywords: dict[str, ast.expr], lanes: int, node: ast.AST) -> hir.Expr | None:
    if "mask" in keywords and "count" in keywords:
        x.context.wrong("give mask= or count=, not both", node)
    mask_type = t.VecType(t.bool_, lanes)
    if "mask" in keywords:
        return x.typed(keywords["mask"], mask_type, "mask=")
    if "count" in keywords:
        count = as_index(x.value(keywords["count"]), "count=")
        return hir.Op(mask_type, x.context.span(node), "vector.create_mask", [count])
    return None


def _load(x: "Expressions", node: ast.Call) -> Value:
    """load(view, i, ..., width=N[, mask=M | count=n]): lanes that are off read as 0."""
    keywords = keywords_of(x, node, "width", "mask", "count")
    view = _dense_view(x, node)
    assert isinstance(view.type, t.ViewType)
    if "width" not in keywords:
        x.context.wrong("load() takes width=, the number of lanes", node, "for example load(x, i, width=16)")
    width = x.known(keywords["width"], "width=")
    kind = vec_type(x, view.type.element, width, keywords["width"])
    indices = _indices(x, node.args[1:], view, node)
    mask = _mask(x, keywords, width, node)
    if mask is None:
        return hir.Op(kind, x.context.span(node), "vector.load", [view, *indices])
    return hir.Op(kind, x.context.span(node), "vector.maskedload", [view, *indices, mask])


def _store_named(operation: str) -> Handler:
    def handler(x: "Expressions", node: ast.Call) -> Value:
        """store(view, i, ..., v[, mask=M | count=n]): lanes that are off keep what memory has."""
        keywords = keywords_of(x, node, *(() if operation == "vector.stream_store" else ("mask", "count")))
        view = _dense_view(x, node, writes=True)
        assert isinstance(view.type, t.ViewType)
        indices = _indices(x, node.args[1:-1], view, node)
        value = run_time(x, x.value(node.args[-1]), node.args[-1])
        if not isinstance(value.type, t.VecType) or value.type.element != view.type.element:
            x.context.wrong(
                f"{ast.unparse(node.func)}() takes a vector of {view.type.element} last, got {value.type}",
                node.args[-1],
            )
        mask = _mask(x, keywords, value.type.lanes, node)
        if mask is None:
            return _none(x, node, operation, [value, view, *indices])
        return _none(x, node, "vector.maskedstore", [value, view, *indices, mask])

    return handler


def _prefetch(x: "Expressions", node: ast.Call) -> Value:
    """prefetch(view, i, ...): a hint; the place need not exist."""
    keywords_of(x, node)
    view = _dense_view(x, node, dense=False)
    return _none(x, node, "memref.prefetch", [view, *_indices(x, node.args[1:], view, node)])


def _gather(x: "Expressions", node: ast.Call) -> Value:
    """gather(view, indices[, mask=M]): one lane from each place; lanes that are off read as 0."""
    keywords = keywords_of(x, node, "mask")
    positional(x, node, 2)
    view, where = _dense_view(x, node, dense=False), _lane_indices(x, node)
    assert isinstance(view.type, t.ViewType)
    assert isinstance(where.type, t.VecType)
    _rank_one(x, view, node)
    mask = _mask(x, keywords, where.type.lanes, node) or _all_on(x, where.type.lanes, node)
    kind = t.VecType(view.type.element, where.type.lanes)
    return hir.Op(kind, x.context.span(node), "vector.gather", [view, where, mask])


def _scatter(x: "Expressions", node: ast.Call) -> Value:
    """scatter(view, indices, v[, mask=M]): where two lanes meet, the higher lane's value stays."""
    keywords = keywords_of(x, node, "mask")
    positional(x, node, 3)
    view, where = _dense_view(x, node, writes=True, dense=False), _lane_indices(x, node)
    assert isinstance(view.type, t.ViewType)
    assert isinstance(where.type, t.VecType)
    _rank_one(x, view, node)
    value = x.typed(node.args[2], t.VecType(view.type.element, where.type.lanes), "what scatter() stores")
    mask = _mask(x, keywords, where.type.lanes, node) or _all_on(x, where.type.lanes, node)
    return _none(x, node, "vector.scatter", [value, view, where, mask])


def _rank_one(x: "Expressions", view: hir.Expr, node: ast.Call) -> None:
    assert isinstance(view.type, t.ViewType)
    if view.type.rank != 1:
        x.context.wrong(f"{ast.unparse(node.func)}() takes a view of one dimension, got {view.type}", node.args[0])


def _all_on(x: "Expressions", lanes: int, node: ast.AST) -> hir.Expr:
    return materialise(Known(True, x.context.span(node)), t.VecType(t.bool_, lanes))


def _lane_indices(x: "Expressions", node: ast.Call) -> hir.Expr:
    where = run_time(x, x.value(node.args[1]), node.args[1])
    if not isinstance(where.type, t.VecType) or where.type.element not in (t.index, t.i64, t.i32, t.u32):
        x.context.wrong(f"the places must be a vector of index, i64, i32 or u32, got {where.type}", node.args[1])
    return where


def _atomic(how: str) -> Handler:
    def handler(x: "Expressions", node: ast.Call) -> Value:
        """atomic_add(view, i, ..., v[, order="relaxed"]) on plain integers; Atomic has the same as methods."""
        view = _dense_view(x, node, writes=how != "load", dense=False)
        assert isinstance(view.type, t.ViewType)
        element = view.type.element
        if not isinstance(element, t.ScalarType) or element.kind != "int" or element.bits < 32:
            x.context.wrong(
                f"{ast.unparse(node.func)}() works on integers of 32 or 64 bits, got {element}", node.args[0]
            )
        last = len(node.args) - value_count(how)
        indices = _indices(x, node.args[1:last], view, node)
        root = view.root if isinstance(view, hir.Place) and not view.steps else view
        place = hir.Place(element, x.context.span(node), root, tuple(indices))
        return atomic_operation(x, how, place, element, node.args[last:], node)

    return handler


def _hint(operation: str) -> Handler:
    def handler(x: "Expressions", node: ast.Call) -> Value:
        """pause() tells the processor that this loop waits for another thread, yield_now() tells the system."""
        keywords_of(x, node)
        positional(x, node, 0)
        return _none(x, node, operation, [])

    return handler


MEMORY_CALLS: Mapping[str, Handler] = {
    "load": _load, "store": _store_named("vector.store"), "stream_store": _store_named("vector.stream_store"),
    "prefetch": _prefetch, "gather": _gather, "scatter": _scatter,
    **{f"atomic_{how}": _atomic(how) for how in ATOMIC},
    "pause": _hint("hekla.pause"), "yield_now": _hint("hekla.yield"),
}  # fmt: skip
