"""Formulas as `qdrant-client` writes them, to expressions of ours and back."""

import re
from collections.abc import Mapping
from datetime import datetime

from hekla.base.errors import InputError, UnsupportedError, nearest_name, quoted
from hekla.vector.doors.filter_json import condition_json, path_of, read_condition
from hekla.vector.doors.json_fields import Fields, Json
from hekla.vector.expressions import (
    Decay,
    DecayKind,
    Distance,
    Expression,
    Fold,
    FoldKind,
    Function,
    FunctionKind,
    Moment,
    MomentAt,
    Number,
    Power,
    Quotient,
    Score,
    Term,
    Value,
    When,
)
from hekla.vector.filters import MAX_DEPTH
from hekla.vector.queries import Formula

_SCORE = re.compile(r"\$score(?:\[([0-9]{1,9})\])?")
_FOLDS: Mapping[str, FoldKind] = {"sum": "sum", "mult": "mult", "max": "max", "min": "min"}
_FUNCTIONS: Mapping[str, FunctionKind] = {
    "neg": "neg",
    "abs": "abs",
    "sqrt": "sqrt",
    "exp": "exp",
    "log10": "log10",
    "ln": "ln",
    "acosh": "acosh",
}
_DECAYS: Mapping[str, DecayKind] = {"lin_decay": "linear", "exp_decay": "exponential", "gauss_decay": "gauss"}
_OTHERS = ("div", "pow", "geo_distance", "datetime", "datetime_key")
_CONDITIONS = (
    *("key", "has_id", "has_vector", "is_empty", "is_null", "nested", "slice"),
    *("must", "should", "must_not", "min_should"),
)


def read_formula(fields: Fields) -> Formula:
    """Return a formula: `formula`, `defaults`. Errors: InputError, PointError, UnsupportedError naming the place."""
    defaults = fields.get("defaults")
    if defaults is not None and not isinstance(defaults, dict):
        raise InputError(f"expected an object, got {quoted(defaults)}", where=fields.place("defaults"))
    for name in defaults or {}:
        if name.startswith("$score"):
            _variable(name, fields.place("defaults"))
    return Formula(_read(fields.need("formula"), fields.place("formula"), 1), defaults or {})


def _read(document: Json, where: str, depth: int) -> Expression:
    if depth > MAX_DEPTH:
        raise InputError(f"is over {MAX_DEPTH} deep", where=where)
    if isinstance(document, str):
        return _variable(document, where)
    if isinstance(document, int | float) and not isinstance(document, bool):
        return Number(document)
    fields = Fields(document, where)
    names = fields.names()
    if not names or any(name in _CONDITIONS for name in names):
        return When(read_condition(document, where))
    known = (*_FOLDS, *_FUNCTIONS, *_DECAYS, *_OTHERS)
    if len(names) != 1 or names[0] not in known:
        name = next((name for name in names if name not in known), "")
        problem = f"unknown expression {quoted(name)}" if name else f"expected one expression, got {len(names)}"
        raise InputError(problem, where=where, cure=nearest_name(name, known) if name else "use sum or mult")
    found = _operation(fields, names[0], depth)
    fields.end()
    return found


def _variable(text: str, where: str) -> Score | Value:
    if not text.startswith("$score"):
        return Value(path_of(Fields({"path": text}, where), "path"))
    score = _SCORE.fullmatch(text)
    if score is None:
        raise InputError(f"expected $score or $score[0], got {quoted(text)}", where=where)
    return Score(int(score[1] or 0))


def _operation(fields: Fields, name: str, depth: int) -> Expression:
    where = fields.place(name)
    if name in _FOLDS:
        terms = fields.items(name) or []
        return Fold(_FOLDS[name], tuple(_read(each, f"{where}[{i}]", depth + 1) for i, each in enumerate(terms)))
    if name in _FUNCTIONS:
        return Function(_FUNCTIONS[name], _read(fields.get(name), where, depth + 1))
    if name == "datetime":
        return Moment(fields.need_text(name))
    if name == "datetime_key":
        return MomentAt(path_of(fields, name))
    inner = Fields(fields.get(name), where)
    if name == "geo_distance":
        found: Expression = _distance(inner)
    elif name == "div":
        left, right = (_read(inner.need(side), inner.place(side), depth + 1) for side in ("left", "right"))
        found = Quotient(left, right, inner.number("by_zero_default"))
    elif name == "pow":
        base, exponent = (_read(inner.need(side), inner.place(side), depth + 1) for side in ("base", "exponent"))
        found = Power(base, exponent)
    else:
        found = _decay(inner, _DECAYS[name], depth)
    inner.end()
    return found


def _distance(fields: Fields) -> Distance:
    fields.need("origin")
    origin = fields.inner("origin")
    assert origin is not None, "it is there"
    origin.need("lat")
    origin.need("lon")
    found = Distance(path_of(fields, "to"), origin.number("lat") or 0.0, origin.number("lon") or 0.0)
    origin.end()
    return found


def _decay(fields: Fields, kind: DecayKind, depth: int) -> Decay:
    of = _read(fields.need("x"), fields.place("x"), depth + 1)
    target = fields.get("target")
    scale, midpoint = fields.number("scale"), fields.number("midpoint")
    return Decay(
        kind,
        of,
        Number(0.0) if target is None else _read(target, fields.place("target"), depth + 1),
        1.0 if scale is None else scale,
        0.5 if midpoint is None else midpoint,
    )


def formula_json(formula: Formula) -> dict[str, Json]:
    """Return the JSON form of a formula, which `read_formula` reads."""
    return {"formula": _json(formula.expression), "defaults": dict(formula.defaults)}


def _json(expression: Term) -> Json:
    if not isinstance(expression, Expression):
        return expression
    if isinstance(expression, Number):
        return expression.value
    if isinstance(expression, Score):
        return f"$score[{expression.prefetch}]"
    if isinstance(expression, Value):
        if expression.path.startswith("$score"):
            raise UnsupportedError("stands for a score over REST", where=expression.path, cure="rename the key")
        return expression.path
    if isinstance(expression, When):
        return condition_json(expression.condition)
    if isinstance(expression, Moment):
        return {"datetime": expression.at.isoformat() if isinstance(expression.at, datetime) else expression.at}
    if isinstance(expression, MomentAt):
        return {"datetime_key": expression.path}
    if isinstance(expression, Distance):
        return {"geo_distance": {"origin": {"lat": expression.lat, "lon": expression.lon}, "to": expression.path}}
    return _operation_json(expression)


def _operation_json(expression: Expression) -> Json:
    if isinstance(expression, Fold):
        return {expression.kind: [_json(each) for each in expression.terms]}
    if isinstance(expression, Function):
        return {expression.kind: _json(expression.of)}
    if isinstance(expression, Power):
        return {"pow": {"base": _json(expression.base), "exponent": _json(expression.exponent)}}
    if isinstance(expression, Quotient):
        sides = {"left": _json(expression.left), "right": _json(expression.right)}
        return {"div": sides if expression.by_zero is None else {**sides, "by_zero_default": expression.by_zero}}
    assert isinstance(expression, Decay), "there are no others"
    name = next(name for name, kind in _DECAYS.items() if kind == expression.kind)
    sides = {"x": _json(expression.of), "target": _json(expression.target)}
    return {name: {**sides, "scale": expression.scale, "midpoint": expression.midpoint}}
