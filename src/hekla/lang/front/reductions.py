"""Reductions of parallel loops: `parallel(n, reduce_add=total)`, and what the body may do with them.

The meaning: the iterations are cut into at most 64 runs of neighbours, each as long as the others or one longer. Each
run begins at the neutral element and takes its iterations in order; then the runs are combined into the variable, the
first run first. So the result is the same with any number of threads, and is the interpreter's to the last bit.
"""

import ast
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.errors import KernelTypeError
from hekla.lang.front.known import Known
from hekla.lang.front.operators import materialise
from hekla.lang.front.tree import children_of, expressions_of, walk

if TYPE_CHECKING:
    from hekla.lang.front.context import Context

RUNS = 64
KEYWORDS = {"reduce_add": "add", "reduce_min": "min", "reduce_max": "max"}
_UPDATES = {
    "add": ("addi", "addf", "subi", "subf"),
    "min": ("minsi", "minui", "minf"),
    "max": ("maxsi", "maxui", "maxf"),
}
_CURES = {"add": "only {0} += x adds to it", "min": "only {0} = min({0}, x)", "max": "only {0} = max({0}, x)"}


def reductions_of(context: "Context", keywords: Sequence[ast.keyword]) -> list[hir.Reduction]:
    """Return the reductions that a parallel loop names. Errors: KernelTypeError for what cannot be reduced."""
    found: list[hir.Reduction] = []
    for keyword in keywords:
        value = keyword.value
        for name in value.elts if isinstance(value, ast.Tuple) else [value]:
            place = context.name(name) if isinstance(name, ast.Name) else None
            if not isinstance(place, hir.Place) or place.variable is None or place.steps:
                context.wrong(f"{keyword.arg}= takes variables", name, "assign it before the loop")
            element = t.element_of(place.type)
            if element is None or element.kind == "bool" or place.variable.read_only:
                context.wrong(f"{keyword.arg}= takes a number or a Vec, got {place.type}", name)
            if any(r.variable is place.variable for r in found):
                context.wrong(f"{place.variable.name!r} is reduced already", name)
            found.append(hir.Reduction(place.variable, KEYWORDS[str(keyword.arg)]))
    return found


def check_reductions(body: Sequence[hir.Statement], reductions: Sequence[hir.Reduction]) -> None:
    """Refuse a body that does anything else with what it reduces. Errors: KernelTypeError."""
    for reduction in reductions:
        is_updated = False
        for s in walk(body):
            values = expressions_of(s)
            if isinstance(s, hir.Assign) and s.place.variable is reduction.variable and not s.place.steps:
                values, is_updated = _update(s, reduction), True
            for value in values:
                _refuse_use(value, reduction)
        if not is_updated:
            name = reduction.variable.name
            cure = _CURES[reduction.kind].format(name)
            raise KernelTypeError(f"this loop does not change {name!r}", span=reduction.variable.span, cure=cure)


def _update(s: hir.Assign, reduction: hir.Reduction) -> list[hir.Expr]:
    """Return what an update combines the variable with."""
    value, variable = s.value, reduction.variable
    names = {f"arith.{n}" for n in _UPDATES[reduction.kind]} | ({"math.fma"} if reduction.kind == "add" else set())
    if isinstance(value, hir.Op) and value.name in names:
        own = [i for i, a in enumerate(value.args) if isinstance(a, hir.Place) and a.variable is variable]
        first = {"math.fma": [2], "arith.subi": [0], "arith.subf": [0]}.get(value.name)
        if len(own) == 1 and (first is None or own == first):
            return [a for i, a in enumerate(value.args) if i != own[0]]
    raise KernelTypeError(
        f"{variable.name!r} is reduced by {reduction.kind}, and this is something else",
        span=s.span,
        cure=_CURES[reduction.kind].format(variable.name),
    )


def _refuse_use(e: hir.Expr, reduction: hir.Reduction) -> None:
    if isinstance(e, hir.Place) and e.variable is reduction.variable:
        raise KernelTypeError(
            f"{e.variable.name!r} has no value until all iterations are done",
            span=e.span,
            cure=_CURES[reduction.kind].format(e.variable.name),
        )
    for child in children_of(e):
        _refuse_use(child, reduction)


def spread(s: hir.Parallel) -> list[hir.Statement]:
    """Return a parallel loop with reductions as one over runs, and what stands around it."""
    span = s.span
    count, runs = (hir.Variable(name, t.index, span) for name in ("%count", "%runs"))
    n, of = _read(count), _read(runs)
    before: list[hir.Statement] = [
        _set(count, s.count),
        _set(runs, _op("minsi", n, hir.Const(t.index, span, RUNS))),
    ]
    run, turn = hir.Variable("%run", t.index, span), hir.Variable("%turn", t.index, span)
    low, high = _start(n, of, _read(run)), _start(n, of, _op("addi", _read(run), hir.Const(t.index, span, 1)))
    body: list[hir.Statement] = []
    after: list[hir.Statement] = []
    ends: list[hir.Statement] = []
    for reduction in s.reductions:
        variable, kind = reduction.variable, reduction.variable.type
        parts = hir.Variable(f"%parts of {variable.name}", t.ArrayType(kind, RUNS), span)
        view = hir.Variable(f"%{variable.name}", t.ViewType(kind, 1, True), span)
        neutral = _neutral(kind, reduction.kind, variable)
        before.append(_set(parts, hir.Op(parts.type, span, "tensor.splat", [neutral])))
        before.append(_set(view, hir.Borrow(view.type, span, _read(parts), True)))
        body.append(_set(variable, neutral))
        ends.append(hir.Assign(span, hir.Place(kind, span, view, (_read(run),)), _read(variable)))
        part = hir.Place(kind, span, view, (_read(turn),))
        after.append(_set(variable, _op(_combine(kind, reduction.kind), _read(variable), part)))
    body += [hir.For(span, s.counter, low, high, 1, s.body), *ends]
    return [*before, hir.Parallel(span, run, of, body), hir.For(span, turn, hir.Const(t.index, span, 0), of, 1, after)]


def _start(n: hir.Expr, runs: hir.Expr, run: hir.Expr) -> hir.Expr:
    """Return where a run begins: the first n % runs of them are one longer."""
    longer = _op("minsi", run, _op("floormodsi", n, runs))
    return _op("addi", _op("muli", run, _op("floordivsi", n, runs)), longer)


def _op(name: str, *args: hir.Expr) -> hir.Expr:
    return hir.Op(args[0].type, args[0].span, f"arith.{name}", list(args), {"no_overflow": True})


def _read(variable: hir.Variable) -> hir.Place:
    return hir.Place(variable.type, variable.span, variable)


def _set(variable: hir.Variable, value: hir.Expr) -> hir.Statement:
    return hir.Assign(value.span, _read(variable), value)


def _combine(kind: t.Type, how: str) -> str:
    element = t.element_of(kind)
    assert element is not None
    if element.kind == "float":
        return f"{how}f"
    if how == "add":
        return "addi"
    return f"{how}{'si' if element.signed else 'ui'}"


def _neutral(kind: t.Type, how: str, variable: hir.Variable) -> hir.Expr:
    """Return what changes nothing; -0.0 for sums, because 0.0 would make -0.0 into 0.0."""
    element = t.element_of(kind)
    assert element is not None
    number: int | float
    if element.kind == "float":
        number = {"add": -0.0, "min": math.inf, "max": -math.inf}[how]
    else:
        number = {"add": 0, "min": element.limits[1], "max": element.limits[0]}[how]
    return materialise(Known(number, variable.span), kind)
