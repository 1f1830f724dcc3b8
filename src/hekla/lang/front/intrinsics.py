"""The functions of the language and of Python: how each call is typed and which operation it becomes."""

import ast
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.front.calls import Handler, keywords_of, positional, run_time, vec_type
from hekla.lang.front.known import Known, Value, evaluate
from hekla.lang.front.memory_calls import MEMORY_CALLS
from hekla.lang.front.operators import as_index, convert, materialise, unify
from hekla.lang.front.system_calls import SYSTEM_CALLS
from hekla.lang.surface import Buffer, MutView

if TYPE_CHECKING:
    from hekla.lang.front.expressions import Expressions


def _fma(x: "Expressions", node: ast.Call) -> Value:
    """fma(a, b, c): a * b + c, rounded once."""
    keywords_of(x, node)
    a, b, c = positional(x, node, 3)
    span = x.context.span(node)
    if isinstance(a, Known) and isinstance(b, Known):
        a = run_time(x, a, node.args[0])
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
    keywords_of(x, node)
    mask, a, b = positional(x, node, 3)
    condition = run_time(x, mask, node.args[0])
    if t.element_of(condition.type) != t.bool_:
        x.context.wrong(f"select() takes a mask or bool first, got {condition.type}", node.args[0], "compare something")
    if isinstance(a, Known) and isinstance(b, Known):
        a = run_time(x, a, node.args[1])
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
    keywords = keywords_of(x, node, "indices")
    values = positional(x, node, 1, 2)
    vectors = [run_time(x, v, n) for v, n in zip(values, node.args, strict=True)]
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
    kind = vec_type(x, first.element, len(indices), keywords["indices"])
    return hir.Op(kind, x.context.span(node), "vector.shuffle", [vectors[0], vectors[-1]], {"lanes": tuple(indices)})


def _iota(x: "Expressions", node: ast.Call) -> Value:
    """iota(T, width=N): 0, 1, 2, ..."""
    keywords = keywords_of(x, node, "width")
    if len(node.args) != 1 or "width" not in keywords:
        x.context.wrong("iota() takes a type and width=", node, "for example iota(i32, width=16)")
    element = x.known(node.args[0], "a type")
    width = x.known(keywords["width"], "width=")
    kind = vec_type(x, element, width, node)
    if not t.is_scalar(kind.element, "int") or kind.element.limits[1] < width - 1:
        x.context.wrong(f"iota() counts in whole numbers that hold {width - 1}, got {kind.element}", node.args[0])
    return hir.Op(kind, x.context.span(node), "vector.step", [])


def _dot4(x: "Expressions", node: ast.Call) -> Value:
    """dot4(acc, a, b): acc[j] + a[4j]*b[4j] + ... + a[4j+3]*b[4j+3] in i32, wrapping."""
    keywords_of(x, node)
    values = positional(x, node, 3)
    acc, a, b = (run_time(x, v, n) for v, n in zip(values, node.args, strict=True))
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
    keywords_of(x, node)
    if len(node.args) != 2:
        x.context.wrong("bitcast() takes a type and a value", node)
    wanted = x.known(node.args[0], "a type")
    value = run_time(x, x.value(node.args[1]), node.args[1])
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
    keywords_of(x, node)
    if len(node.args) != 2:
        x.context.wrong("saturate() takes a type and a value", node)
    wanted = x.known(node.args[0], "a type")
    value = run_time(x, x.value(node.args[1]), node.args[1])
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
        keywords_of(x, node)
        value = run_time(x, positional(x, node, 1)[0], node.args[0])
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
        value = run_time(x, positional(x, node, 1)[0], node.args[0])
        if not isinstance(value.type, t.VecType) or value.type.element != t.bool_:
            x.context.wrong(
                f"{ast.unparse(node.func)}() takes a mask, got {value.type}", node.args[0], "compare something"
            )
        return reduce(x, node)

    return handler


def _elementwise(name: str, kind: str) -> Handler:
    def handler(x: "Expressions", node: ast.Call) -> Value:
        keywords_of(x, node)
        value = run_time(x, positional(x, node, 1)[0], node.args[0])
        element = t.element_of(value.type)
        if element is None or element.kind != kind:
            words = {"float": "a float", "int": "an integer"}[kind]
            x.context.wrong(
                f"{ast.unparse(node.func)}() takes {words} or a vector of them, got {value.type}", node.args[0]
            )
        return hir.Op(value.type, x.context.span(node), name, [value])

    return handler


def _copysign(x: "Expressions", node: ast.Call) -> Value:
    keywords_of(x, node)
    a, b = positional(x, node, 2)
    left, right = unify(a, b, x.context.span(node), "copysign()")
    element = t.element_of(left.type)
    if element is None or element.kind != "float":
        x.context.wrong(f"copysign() takes floats, got {left.type}", node)
    return hir.Op(left.type, x.context.span(node), "math.copysign", [left, right])


# --- the rest -----------------------------------------------------------------------------------------------


def _buffer(x: "Expressions", node: ast.Call) -> Value:
    """buffer(T, n): n elements, zeroed, owned by the variable they are assigned to."""
    keywords_of(x, node)
    if len(node.args) != 2:
        x.context.wrong("buffer() takes a type and a length", node)
    element = x.known(node.args[0], "a type")
    kind = evaluate(lambda: Buffer[element], x.context.span(node.args[0])).value
    length = as_index(x.value(node.args[1]), "the length")
    return hir.Op(kind, x.context.span(node), "memref.alloc", [length])


def _region(x: "Expressions", node: ast.Call) -> Value:
    """region(bytes): memory that .take(T, n) hands out, owned by the variable it is assigned to."""
    keywords_of(x, node)
    size = as_index(positional(x, node, 1)[0], "the size in bytes")
    return hir.Op(t.RegionType(), x.context.span(node), "memref.region", [size])


def take_call(x: "Expressions", region: hir.Expr, node: ast.Call) -> Value:
    """r.take(T, n): a writing view of n elements of a region, zeroed, aligned to 64 bytes."""
    keywords_of(x, node)
    if not isinstance(region, hir.Place) or region.variable is None or region.steps:
        x.context.wrong("only a region in a variable hands out memory", node, "assign it first: r = region(bytes)")
    if len(node.args) != 2:
        x.context.wrong("take() takes a type and a length", node, "for example r.take(f32, n)")
    element = x.known(node.args[0], "a type")
    kind = evaluate(lambda: MutView[element, 1], x.context.span(node.args[0])).value
    length = as_index(x.value(node.args[1]), "the length")
    return hir.Op(kind, x.context.span(node), "memref.take", [region, length])


def _cycles(x: "Expressions", node: ast.Call) -> Value:
    """cycles(): a clock of the processor, u64, in a unit of its own; 0 on machines whose clock programs cannot read."""
    keywords_of(x, node)
    positional(x, node, 0)
    return hir.Op(t.u64, x.context.span(node), "hekla.cycles", [])


def _element_type(x: "Expressions", node: ast.Call) -> Value:
    value = run_time(x, positional(x, node, 1)[0], node.args[0])
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
    **MEMORY_CALLS, **SYSTEM_CALLS,
    "fma": _fma, "select": _select, "shuffle": _shuffle,
    "iota": _iota, "dot4": _dot4, "bitcast": _bitcast, "saturate": _saturate,
    "reduce_add": _reduction("add"), "reduce_min": _reduction("min"), "reduce_max": _reduction("max"),
    "reduce_and": _reduction("and"), "reduce_or": _reduction("or"),
    "all_lanes": _lanes_test("and"), "any_lane": _lanes_test("or"),
    "sqrt": _elementwise("math.sqrt", "float"), "floor": _elementwise("math.floor", "float"),
    "ceil": _elementwise("math.ceil", "float"), "trunc": _elementwise("math.trunc", "float"),
    "round_even": _elementwise("math.roundeven", "float"), "copysign": _copysign,
    "popcount": _elementwise("math.ctpop", "int"), "leading_zeros": _elementwise("math.ctlz", "int"),
    "trailing_zeros": _elementwise("math.cttz", "int"), "buffer": _buffer, "region": _region,
    "element_type": _element_type, "cycles": _cycles,
    "static_assert": _static_assert, "unroll": _own_line("write `for i in unroll(range(...)):`"),
    "parallel": _own_line("write `for i in parallel(n):`"),
    "drop": _own_line("write drop(x) on a line of its own"),
    "lock": _own_line("write `with lock(m) as content:`"),
    "split": _own_line("write `left, right = split(view, at)`"),
}  # fmt: skip


def _len(x: "Expressions", node: ast.Call) -> Value:
    keywords_of(x, node)
    value = positional(x, node, 1)[0]
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
        keywords_of(x, node)
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
    keywords_of(x, node)
    value = positional(x, node, 1)[0]
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
    x.context.wrong("print() gives nothing", node, "write it on a line of its own")


PYTHON_BUILTINS: Mapping[object, Handler] = {
    len: _len, min: _min_max("min", min), max: _min_max("max", max), abs: _abs, range: _range,
    isinstance: _isinstance, print: _print,
}  # fmt: skip
