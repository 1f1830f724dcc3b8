"""The functions of the language: how each call is typed and which operation it becomes."""

import ast
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.front.known import Known, Value, evaluate
from hekla.lang.front.operators import as_index, convert, materialise, type_text, unify

if TYPE_CHECKING:
    from hekla.lang.front.expressions import Expressions

Handler = Callable[["Expressions", ast.Call], Value]


def _positional(x: "Expressions", node: ast.Call, *counts: int) -> list[Value]:
    if len(node.args) not in counts:
        wanted = " or ".join(map(str, counts))
        x.context.wrong(f"{ast.unparse(node.func)}() takes {wanted} values, got {len(node.args)}", node)
    return [x.value(a) for a in node.args]


def _keywords(x: "Expressions", node: ast.Call, *allowed: str) -> dict[str, ast.expr]:
    found = {k.arg or "**": k.value for k in node.keywords}
    for name, value in found.items():
        if name not in allowed:
            cure = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
            x.context.wrong(f"{ast.unparse(node.func)}() has no keyword {name!r}", value, cure)
    return found


def _run_time(x: "Expressions", value: Value, node: ast.AST) -> hir.Expr:
    if isinstance(value, Known):
        x.context.wrong(f"{type_text(value)} has no type yet", node, "convert it, for example f32(...)")
    return value


def _none(
    x: "Expressions", node: ast.Call, name: str, args: list[hir.Expr], **attrs: Any
) -> hir.Expr:  # Any: see hir.Op
    return hir.Op(t.none, x.context.span(node), name, args, attrs)


# --- memory -------------------------------------------------------------------------------------------------


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
    keywords = _keywords(x, node, "width", "mask", "count")
    view = _dense_view(x, node)
    assert isinstance(view.type, t.ViewType)
    if "width" not in keywords:
        x.context.wrong("load() takes width=, the number of lanes", node, "for example load(x, i, width=16)")
    width = x.known(keywords["width"], "width=")
    kind = _vec_type(x, view.type.element, width, keywords["width"])
    indices = _indices(x, node.args[1:], view, node)
    mask = _mask(x, keywords, width, node)
    if mask is None:
        return hir.Op(kind, x.context.span(node), "vector.load", [view, *indices])
    return hir.Op(kind, x.context.span(node), "vector.maskedload", [view, *indices, mask])


def _vec_type(x: "Expressions", element: object, lanes: object, node: ast.AST) -> t.VecType:
    from hekla.lang.surface import Vec  # the one check of lanes lives there

    found = evaluate(lambda: Vec[element, lanes], x.context.span(node)).value
    assert isinstance(found, t.VecType)
    return found


def _store_named(operation: str) -> Handler:
    def handler(x: "Expressions", node: ast.Call) -> Value:
        """store(view, i, ..., v[, mask=M | count=n]): lanes that are off keep what memory has."""
        keywords = _keywords(x, node, *(() if operation == "vector.stream_store" else ("mask", "count")))
        view = _dense_view(x, node, writes=True)
        assert isinstance(view.type, t.ViewType)
        indices = _indices(x, node.args[1:-1], view, node)
        value = _run_time(x, x.value(node.args[-1]), node.args[-1])
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
    _keywords(x, node)
    view = _dense_view(x, node, dense=False)
    return _none(x, node, "memref.prefetch", [view, *_indices(x, node.args[1:], view, node)])


def _gather(x: "Expressions", node: ast.Call) -> Value:
    """gather(view, indices[, mask=M]): one lane from each place; lanes that are off read as 0."""
    keywords = _keywords(x, node, "mask")
    _positional(x, node, 2)
    view, where = _dense_view(x, node, dense=False), _lane_indices(x, node)
    assert isinstance(view.type, t.ViewType)
    assert isinstance(where.type, t.VecType)
    _rank_one(x, view, node)
    mask = _mask(x, keywords, where.type.lanes, node) or _all_on(x, where.type.lanes, node)
    kind = t.VecType(view.type.element, where.type.lanes)
    return hir.Op(kind, x.context.span(node), "vector.gather", [view, where, mask])


def _scatter(x: "Expressions", node: ast.Call) -> Value:
    """scatter(view, indices, v[, mask=M]): where two lanes meet, the higher lane's value stays."""
    keywords = _keywords(x, node, "mask")
    _positional(x, node, 3)
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
    where = _run_time(x, x.value(node.args[1]), node.args[1])
    if not isinstance(where.type, t.VecType) or where.type.element not in (t.index, t.i64, t.i32, t.u32):
        x.context.wrong(f"the places must be a vector of index, i64, i32 or u32, got {where.type}", node.args[1])
    return where


# --- arithmetic ---------------------------------------------------------------------------------------------


def _fma(x: "Expressions", node: ast.Call) -> Value:
    """fma(a, b, c): a * b + c, rounded once."""
    _keywords(x, node)
    a, b, c = _positional(x, node, 3)
    span = x.context.span(node)
    if isinstance(a, Known) and isinstance(b, Known):
        a = _run_time(x, a, node.args[0])
    left, right = unify(a, b, span, "fma()")
    left, last = unify(left, c, span, "fma()")
    right = materialise(right, left.type)
    element = t.element_of(left.type)
    if element is None or element.kind != "float":
        x.context.wrong(f"fma() takes floats, got {left.type}", node, "write a * b + c")
    if element.bits == 16:
        x.context.wrong(f"fma() takes f32 or f64, got {left.type}", node, "convert to f32 first")
    return hir.Op(left.type, span, "math.fma", [left, right, last])


def _select(x: "Expressions", node: ast.Call) -> Value:
    """select(mask, a, b): both sides are computed, lane by lane one is taken."""
    _keywords(x, node)
    mask, a, b = _positional(x, node, 3)
    condition = _run_time(x, mask, node.args[0])
    if t.element_of(condition.type) != t.bool_:
        x.context.wrong(f"select() takes a mask or bool first, got {condition.type}", node.args[0], "compare something")
    if isinstance(a, Known) and isinstance(b, Known):
        a = _run_time(x, a, node.args[1])
    left, right = unify(a, b, x.context.span(node), "select()")
    if isinstance(condition.type, t.VecType):
        element = t.element_of(left.type)
        if element is None or getattr(left.type, "lanes", condition.type.lanes) != condition.type.lanes:
            x.context.wrong(f"select() of {condition.type} does not take {left.type}", node)
        kind = t.VecType(element, condition.type.lanes)
        left, right = materialise(left, kind), materialise(right, kind)
    return hir.Op(left.type, x.context.span(node), "arith.select", [condition, left, right])


def _shuffle(x: "Expressions", node: ast.Call) -> Value:
    """shuffle(a[, b], indices=(...)): lanes of a, then of b, in the order given."""
    keywords = _keywords(x, node, "indices")
    values = _positional(x, node, 1, 2)
    vectors = [_run_time(x, v, n) for v, n in zip(values, node.args, strict=True)]
    first = vectors[0].type
    if not isinstance(first, t.VecType) or any(v.type != first for v in vectors):
        x.context.wrong("shuffle() takes one vector or two of one type", node)
    if "indices" not in keywords:
        x.context.wrong("shuffle() takes indices=", node, "for example indices=(1, 0, 3, 2)")
    indices = x.known(keywords["indices"], "indices=")
    if not isinstance(indices, tuple | list | range) or not all(isinstance(i, int) for i in indices):
        x.context.wrong("indices= is a tuple of lane numbers", keywords["indices"])
    limit = first.lanes * len(vectors)
    for lane in indices:
        if lane not in range(limit):
            x.context.wrong(f"lane {lane} is not one of the {limit}", keywords["indices"])
    kind = _vec_type(x, first.element, len(indices), keywords["indices"])
    return hir.Op(kind, x.context.span(node), "vector.shuffle", [vectors[0], vectors[-1]], {"lanes": tuple(indices)})


def _iota(x: "Expressions", node: ast.Call) -> Value:
    """iota(T, width=N): 0, 1, 2, ..."""
    keywords = _keywords(x, node, "width")
    if len(node.args) != 1 or "width" not in keywords:
        x.context.wrong("iota() takes a type and width=", node, "for example iota(i32, width=16)")
    element = x.known(node.args[0], "a type")
    width = x.known(keywords["width"], "width=")
    kind = _vec_type(x, element, width, node)
    if not t.is_scalar(kind.element, "int") or kind.element.limits[1] < width - 1:
        x.context.wrong(f"iota() counts in whole numbers that hold {width - 1}, got {kind.element}", node.args[0])
    return hir.Op(kind, x.context.span(node), "vector.step", [])


def _dot4(x: "Expressions", node: ast.Call) -> Value:
    """dot4(acc, a, b): acc[j] + a[4j]*b[4j] + ... + a[4j+3]*b[4j+3] in i32, wrapping."""
    _keywords(x, node)
    values = _positional(x, node, 3)
    acc, a, b = (_run_time(x, v, n) for v, n in zip(values, node.args, strict=True))
    if not isinstance(acc.type, t.VecType) or acc.type.element != t.i32:
        x.context.wrong(f"dot4() adds to a vector of i32, got {acc.type}", node.args[0])
    lanes = acc.type.lanes * 4
    for value, allowed, argument in ((a, (t.u8, t.i8), node.args[1]), (b, (t.i8,), node.args[2])):
        if value.type not in [t.VecType(e, lanes) for e in allowed]:
            names = " or ".join(f"Vec[{e}, {lanes}]" for e in allowed)
            x.context.wrong(f"dot4() takes {names} here, got {value.type}", argument)
    return hir.Op(acc.type, x.context.span(node), "vector.dot4", [acc, a, b])


def _bitcast(x: "Expressions", node: ast.Call) -> Value:
    """bitcast(T, v): the same bits as another scalar or vector type."""
    _keywords(x, node)
    if len(node.args) != 2:
        x.context.wrong("bitcast() takes a type and a value", node)
    wanted = x.known(node.args[0], "a type")
    value = _run_time(x, x.value(node.args[1]), node.args[1])
    have_element = t.element_of(value.type)
    element = t.element_of(wanted) if isinstance(wanted, t.Type) else None
    if element is None or have_element is None or t.bool_ in (element, have_element):
        x.context.wrong("bitcast() is between scalars or vectors of numbers", node)
    if isinstance(wanted, t.ScalarType) and isinstance(value.type, t.VecType) and wanted.bits == have_element.bits:
        wanted = t.VecType(wanted, value.type.lanes)
    have_bits, bits = (e.bits * getattr(k, "lanes", 1) for e, k in ((have_element, value.type), (element, wanted)))
    if have_bits != bits:
        x.context.wrong(f"bitcast() from {value.type} ({have_bits} bits) to {wanted} ({bits} bits)", node)
    return hir.Op(wanted, x.context.span(node), "arith.bitcast", [value])


def _saturate(x: "Expressions", node: ast.Call) -> Value:
    """saturate(T, v): to a narrower integer, stopping at its limits."""
    _keywords(x, node)
    if len(node.args) != 2:
        x.context.wrong("saturate() takes a type and a value", node)
    wanted = x.known(node.args[0], "a type")
    value = _run_time(x, x.value(node.args[1]), node.args[1])
    have = t.element_of(value.type)
    if not isinstance(wanted, t.ScalarType) or wanted.kind != "int" or have is None or have.kind == "bool":
        x.context.wrong("saturate() takes an integer type and a number", node)
    span = x.context.span(node)
    if have.kind == "float":
        return convert(value, wanted, span)
    sign = "si" if have.signed else "ui"
    low, high = max(wanted.limits[0], have.limits[0]), min(wanted.limits[1], have.limits[1])
    clamped: hir.Expr = value
    for name, bound in ((f"arith.max{sign}", low), (f"arith.min{sign}", high)):
        clamped = hir.Op(value.type, span, name, [clamped, materialise(Known(bound, span), value.type)])
    return convert(clamped, wanted, span)


def _reduction(kind: str) -> Handler:
    def handler(x: "Expressions", node: ast.Call) -> Value:
        """Halves are combined lane by lane until one lane is left: the order is part of the meaning."""
        _keywords(x, node)
        value = _run_time(x, _positional(x, node, 1)[0], node.args[0])
        if not isinstance(value.type, t.VecType):
            x.context.wrong(f"{ast.unparse(node.func)}() takes a vector, got {value.type}", node.args[0])
        is_mask, is_logic = value.type.element == t.bool_, kind in ("and", "or")
        if is_mask and not is_logic:
            x.context.wrong(
                f"{ast.unparse(node.func)}() does not take a mask", node.args[0], "use any_lane or all_lanes"
            )
        if is_logic and value.type.element.kind == "float":
            x.context.wrong(f"{ast.unparse(node.func)}() does not take {value.type}", node.args[0])
        return hir.Op(value.type.element, x.context.span(node), "vector.reduction", [value], {"kind": kind})

    return handler


def _lanes_test(kind: str) -> Handler:
    reduce = _reduction(kind)

    def handler(x: "Expressions", node: ast.Call) -> Value:
        value = _run_time(x, _positional(x, node, 1)[0], node.args[0])
        if not isinstance(value.type, t.VecType) or value.type.element != t.bool_:
            x.context.wrong(
                f"{ast.unparse(node.func)}() takes a mask, got {value.type}", node.args[0], "compare something"
            )
        return reduce(x, node)

    return handler


def _elementwise(name: str, kind: str) -> Handler:
    def handler(x: "Expressions", node: ast.Call) -> Value:
        _keywords(x, node)
        value = _run_time(x, _positional(x, node, 1)[0], node.args[0])
        element = t.element_of(value.type)
        if element is None or element.kind != kind:
            words = {"float": "a float", "int": "an integer"}[kind]
            x.context.wrong(
                f"{ast.unparse(node.func)}() takes {words} or a vector of them, got {value.type}", node.args[0]
            )
        return hir.Op(value.type, x.context.span(node), name, [value])

    return handler


def _copysign(x: "Expressions", node: ast.Call) -> Value:
    _keywords(x, node)
    a, b = _positional(x, node, 2)
    left, right = unify(a, b, x.context.span(node), "copysign()")
    element = t.element_of(left.type)
    if element is None or element.kind != "float":
        x.context.wrong(f"copysign() takes floats, got {left.type}", node)
    return hir.Op(left.type, x.context.span(node), "math.copysign", [left, right])


# --- the rest -----------------------------------------------------------------------------------------------


def _buffer(x: "Expressions", node: ast.Call) -> Value:
    """buffer(T, n): n elements, zeroed, owned by the variable they are assigned to."""
    _keywords(x, node)
    if len(node.args) != 2:
        x.context.wrong("buffer() takes a type and a length", node)
    from hekla.lang.surface import Buffer  # the one check of elements lives there

    element = x.known(node.args[0], "a type")
    kind = evaluate(lambda: Buffer[element], x.context.span(node.args[0])).value
    length = as_index(x.value(node.args[1]), "the length")
    return hir.Op(kind, x.context.span(node), "memref.alloc", [length])


def _element_type(x: "Expressions", node: ast.Call) -> Value:
    value = _run_time(x, _positional(x, node, 1)[0], node.args[0])
    return Known(getattr(value.type, "element", value.type), x.context.span(node))


def _static_assert(x: "Expressions", node: ast.Call) -> Value:
    """static_assert(condition, "message"): refuse to compile where a constant condition fails."""
    condition, message = (x.known(a, "static_assert()") for a in node.args[:2]) if len(node.args) == 2 else (False, "")
    if not condition:
        x.context.wrong(str(message) or "static_assert() takes a condition and a message", node)
    return hir.Op(t.none, x.context.span(node), "hekla.nothing", [])


def _own_line(what: str) -> Handler:
    def handler(x: "Expressions", node: ast.Call) -> Value:
        x.context.wrong(f"{ast.unparse(node.func)}() has a place of its own", node, what)

    return handler


INTRINSICS: Mapping[str, Handler] = {
    "load": _load, "store": _store_named("vector.store"), "stream_store": _store_named("vector.stream_store"),
    "prefetch": _prefetch, "gather": _gather, "scatter": _scatter, "fma": _fma, "select": _select, "shuffle": _shuffle,
    "iota": _iota, "dot4": _dot4, "bitcast": _bitcast, "saturate": _saturate,
    "reduce_add": _reduction("add"), "reduce_min": _reduction("min"), "reduce_max": _reduction("max"),
    "reduce_and": _reduction("and"), "reduce_or": _reduction("or"),
    "all_lanes": _lanes_test("and"), "any_lane": _lanes_test("or"),
    "sqrt": _elementwise("math.sqrt", "float"), "floor": _elementwise("math.floor", "float"),
    "ceil": _elementwise("math.ceil", "float"), "trunc": _elementwise("math.trunc", "float"),
    "round_even": _elementwise("math.roundeven", "float"), "copysign": _copysign,
    "popcount": _elementwise("math.ctpop", "int"), "leading_zeros": _elementwise("math.ctlz", "int"),
    "trailing_zeros": _elementwise("math.cttz", "int"), "buffer": _buffer, "element_type": _element_type,
    "static_assert": _static_assert, "unroll": _own_line("write `for i in unroll(range(...)):`"),
    "parallel": _own_line("write `for i in parallel(n):`"),
    "drop": _own_line("write drop(x) on a line of its own"),
    "split": _own_line("write `left, right = split(view, at)`"),
}  # fmt: skip


def _len(x: "Expressions", node: ast.Call) -> Value:
    _keywords(x, node)
    value = _positional(x, node, 1)[0]
    span = x.context.span(node)
    if isinstance(value, Known):
        return evaluate(lambda: len(value.value), span)
    if isinstance(value.type, t.ViewType | t.BufferType):
        return hir.Op(t.index, span, "memref.dim", [value], {"dimension": 0})
    if isinstance(value.type, t.ArrayType):
        return Known(value.type.length, span)
    if isinstance(value.type, t.VecType):
        return Known(value.type.lanes, span)
    x.context.wrong(f"{value.type} has no length", node)


def _min_max(name: str, python: Callable[..., Any]) -> Handler:  # Any: Python's min and max on constants
    def handler(x: "Expressions", node: ast.Call) -> Value:
        """For floats: `a if a < b else b` (for max, >), which takes b where either is NaN."""
        _keywords(x, node)
        span = x.context.span(node)
        values = [x.value(a) for a in node.args]
        if len(values) < 2 and not (values and isinstance(values[0], Known)):
            x.context.wrong(f"{name}() takes two values or more", node, "use reduce_min or reduce_max on a vector")
        if all(isinstance(v, Known) for v in values):
            return evaluate(lambda: python(*(v.value for v in values if isinstance(v, Known))), span)
        result = values[0]
        for other in values[1:]:
            if isinstance(result, Known) and isinstance(other, Known):
                result = Known(python(result.value, other.value), span)
                continue
            left, right = unify(result, other, span, f"{name}()")
            element = t.element_of(left.type)
            if element is None or element.kind == "bool":
                x.context.wrong(f"{name}() does not take {left.type}", node)
            suffix = "f" if element.kind == "float" else ("si" if element.signed else "ui")
            result = hir.Op(left.type, span, f"arith.{name}{suffix}", [left, right])
        return result

    return handler


def _abs(x: "Expressions", node: ast.Call) -> Value:
    _keywords(x, node)
    value = _positional(x, node, 1)[0]
    span = x.context.span(node)
    if isinstance(value, Known):
        return evaluate(lambda: abs(value.value), span)
    element = t.element_of(value.type)
    if element is None or element.kind == "bool":
        x.context.wrong(f"abs() does not take {value.type}", node)
    if element.kind == "int" and not element.signed:
        return value
    return hir.Op(value.type, span, "math.absf" if element.kind == "float" else "math.absi", [value])


def _range(x: "Expressions", node: ast.Call) -> Value:
    values = [x.known(a, "a range outside of a for loop") for a in node.args]
    return evaluate(lambda: range(*values), x.context.span(node))


def _isinstance(x: "Expressions", node: ast.Call) -> Value:
    x.context.unsupported("isinstance", node, "compare types: element_type(x) == f32")


def _print(x: "Expressions", node: ast.Call) -> Value:
    x.context.unsupported("print", node, "write to a MutView, or run the kernel with .interpret()")


PYTHON_BUILTINS: Mapping[object, Handler] = {
    len: _len, min: _min_max("min", min), max: _min_max("max", max), abs: _abs, range: _range,
    isinstance: _isinstance, print: _print,
}  # fmt: skip
