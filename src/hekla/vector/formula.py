"""Scores of a formula: what prefetches found, scored by an expression over their scores and the payloads."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from hekla.base.errors import InputError, quoted
from hekla.vector import bitmap
from hekla.vector.expressions import (
    Decay,
    Distance,
    Expression,
    Fold,
    Function,
    Moment,
    MomentAt,
    Number,
    Power,
    Quotient,
    Score,
    Term,
    Value,
    When,
    check_expression,
)
from hekla.vector.filters import Condition, Filter, HasId, moment
from hekla.vector.hits import NO_HITS, Hits, best_of, joined
from hekla.vector.payload.geo import distance_m
from hekla.vector.payload.part_fields import select
from hekla.vector.payload.paths import values_at
from hekla.vector.point import PointId
from hekla.vector.queries import Formula
from hekla.vector.version import Version

F64 = NDArray[np.float64]
At = NDArray[np.int64]  # which of the hits an expression is computed for
Json = Any  # a value of a JSON document
_AT_ONCE = 1024  # points between two looks at the clock
_FOLDS: Mapping[str, Callable[[F64, F64], F64]] = {"sum": np.add, "max": np.fmax, "min": np.fmin}
_FUNCTIONS: Mapping[str, Callable[[F64], F64]] = {
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log10": np.log10,
    "ln": np.log,
    "acosh": np.arccosh,
}


def rescored(
    version: Version,
    lists: Sequence[Hits],
    scores: Sequence[F64],
    query: Formula,
    limit: int,
    where: str,
    until: float | None = None,
) -> Hits:
    """Return what any list found, by the formula's score, best first. `scores`: of each hit of each list.

    until: `time.perf_counter()` after which what was scored is all, and flagged; the lists' first ones come first.
    Errors: InputError naming the point where a value is missing or a result is not finite.
    """
    check_expression(query.expression, f"{where}.formula")
    for key, value in query.defaults.items():
        if key.startswith("$score") and _number(value) is None:
            raise InputError(f"expected a number, got {quoted(value)}", where=f"{where}.defaults.{key[:100]}")
    found = joined(lists)
    keys, first = np.unique(found.keys(), return_index=True)
    hits = found.take(first)
    columns = []
    for each, theirs in zip(lists, scores, strict=True):
        column = np.full(len(hits), np.nan)  # NaN: not found by this prefetch
        column[np.searchsorted(keys, each.keys())] = theirs
        columns.append(column)
    places = np.concatenate([np.arange(len(each)) for each in lists])[first]
    order = np.argsort(places, kind="stable")  # a list's best ones first, for the case that time runs out
    points = _Points(version, hits, columns, query.defaults, where)
    scored: list[Hits] = []
    for begin in range(0, len(order), _AT_ONCE):
        if scored and until is not None and time.perf_counter() > until:
            scored.append(replace(NO_HITS, is_complete=False))
            break
        at = order[begin : begin + _AT_ONCE]
        scored.append(replace(hits.take(at), rank=_ranks(points, query, at, where)))
    return best_of([*scored, replace(NO_HITS, is_complete=found.is_complete)], limit)


def _ranks(points: "_Points", query: Formula, at: At, where: str) -> F64:
    with np.errstate(all="ignore"):  # checked here, where it can be said for which point
        wide = points.of(query.expression, at)
        result = wide.astype(np.float32)
    points.refuse(~np.isfinite(result), wide, at, "the formula gives {} for point {}", f"{where}.formula")
    return -result.astype(np.float64)


class _Points:
    """The points that are scored."""

    def __init__(
        self, version: Version, hits: Hits, scores: Sequence[F64], defaults: Mapping[str, Json], where: str
    ) -> None:
        self._version, self._hits, self._scores, self._where = version, hits, scores, where
        self._defaults = {("$score[0]" if key == "$score" else key): value for key, value in defaults.items()}
        self._payloads: dict[int, Json] = {}

    def of(self, expression: Term, at: At) -> F64:
        """Return the expression's value for these of the hits. Errors: InputError."""
        if not isinstance(expression, Expression):
            return np.full(len(at), float(expression))
        if isinstance(expression, Number):
            return np.full(len(at), float(expression.value))
        if isinstance(expression, Score):
            return self._score(expression.prefetch, at)
        if isinstance(expression, Value):
            return self._each(expression.path, at, _number, "a number")
        if isinstance(expression, When):
            return self._holds(expression.condition, at)
        if isinstance(expression, Moment):
            return np.full(len(at), moment(expression.at, self._where) / 1e6)
        if isinstance(expression, MomentAt):
            return self._each(expression.path, at, _seconds, "a date and time")
        if isinstance(expression, Distance):
            lats = self._each(expression.path, at, lambda value: _coordinate(value, "lat"), "a place")
            lons = self._each(expression.path, at, lambda value: _coordinate(value, "lon"), "a place")
            return distance_m(expression.lat, expression.lon, lats, lons)
        if isinstance(expression, Decay):
            return self._decay(expression, at)
        return self._computed(expression, at)

    def _computed(self, expression: Expression, at: At) -> F64:
        if isinstance(expression, Fold):
            return self._product(expression, at) if expression.kind == "mult" else self._fold(expression, at)
        if isinstance(expression, Quotient):
            return self._quotient(expression, at)
        if isinstance(expression, Power):
            base, exponent = self.of(expression.base, at), self.of(expression.exponent, at)
            return self._finite(np.power(base, exponent), "pow", at)
        assert isinstance(expression, Function), "there are no others"
        of = _FUNCTIONS[expression.kind](self.of(expression.of, at))
        return of if expression.kind in ("neg", "abs") else self._finite(of, expression.kind, at)

    def _fold(self, fold: Fold, at: At) -> F64:
        if not fold.terms:
            return np.zeros(len(at))
        total = self.of(fold.terms[0], at)
        for each in fold.terms[1:]:
            total = _FOLDS[fold.kind](total, self.of(each, at))
        return total

    def _product(self, fold: Fold, at: At) -> F64:
        product = np.ones(len(at))
        going = np.arange(len(at))  # those that have met no 0
        for each in fold.terms:
            factors = self.of(each, at[going])
            product[going] = np.where(factors == 0, 0.0, product[going] * factors)
            going = going[factors != 0]
        return product

    def _quotient(self, quotient: Quotient, at: At) -> F64:
        result = self.of(quotient.left, at)
        going = np.flatnonzero(result != 0)
        right = self.of(quotient.right, at[going])
        if quotient.by_zero is not None:
            result[going[right == 0]] = quotient.by_zero
            going, right = going[right != 0], right[right != 0]
        result[going] = self._finite(result[going] / right, "div", at[going])
        return result

    def _decay(self, decay: Decay, at: At) -> F64:
        apart = np.abs(self.of(decay.of, at) - self.of(decay.target, at)) / decay.scale
        if decay.kind == "linear":
            return np.maximum(0.0, 1.0 - (1.0 - decay.midpoint) * apart)
        return np.exp(math.log(decay.midpoint) * (apart if decay.kind == "exponential" else apart * apart))

    def _score(self, prefetch: int, at: At) -> F64:
        found = self._scores[prefetch][at] if prefetch < len(self._scores) else np.full(len(at), np.nan)
        default = self._defaults.get(f"$score[{prefetch}]")
        return np.where(np.isnan(found), 0.0 if default is None else float(default), found)

    def _holds(self, condition: Condition, at: At) -> F64:
        holds = np.zeros(len(at))
        for number, part in enumerate(self._version.parts):
            here = np.flatnonzero(self._hits.part[at] == number)
            if len(here):
                rows = self._hits.row[at[here]]
                ids = tuple(part.rows.ids.at(int(row)) for row in rows)  # only these rows are looked at
                words = select(part, Filter(must=(HasId(ids), condition)), self._version.schema)
                holds[here] = bitmap.contains(words, rows)
        return holds

    def _each(self, path: str, at: At, read: Callable[[Json], float | None], what: str) -> F64:
        values = np.empty(len(at))
        for i, hit in enumerate(at.tolist()):
            value = self._at_path(hit, path)
            number = None if value is None else read(value)
            if number is None:
                id_ = self._id(hit)
                got = "nothing" if value is None else quoted(value)
                cure = f"give {quoted(path)} in `defaults`" if value is None else f"filter for points with {what} there"
                problem = f"expected {what} at {quoted(path)} of point {id_}, got {got}"
                raise InputError(problem, where=f"{self._where}.formula", cure=cure)
            values[i] = number
        return values

    def _at_path(self, hit: int, path: str) -> Json:
        if hit not in self._payloads:
            rows = self._version.parts[int(self._hits.part[hit])].rows
            self._payloads[hit] = orjson.loads(rows.payloads.at(int(self._hits.row[hit])))
        found = [value for value in values_at(self._payloads[hit], path) if value is not None]
        if not found:
            default = self._defaults.get(path)
            found = default if isinstance(default, list) else [default]
        return found[0] if len(found) == 1 else found or None

    def _finite(self, values: F64, name: str, at: At) -> F64:
        self.refuse(~np.isfinite(values), values, at, name + " gives {} for point {}", f"{self._where}.formula")
        return values

    def refuse(self, wrong: NDArray[np.bool_], values: F64, at: At, text: str, where: str) -> None:
        """Say what is wrong with a value of a hit, if anything is. Errors: InputError."""
        if wrong.any():
            i = int(np.argmax(wrong))
            problem = text.format(f"{values[i]:g}", self._id(int(at[i])))
            raise InputError(problem, where=where, cure="formulas give finite numbers")

    def _id(self, hit: int) -> PointId:
        return self._version.parts[int(self._hits.part[hit])].rows.ids.at(int(self._hits.row[hit]))


def _number(value: Json) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)


def _seconds(value: Json) -> float | None:
    try:
        return moment(value, "") / 1e6 if isinstance(value, str) else None
    except InputError:
        return None


def _coordinate(value: Json, name: str) -> float | None:
    return _number(value.get(name)) if isinstance(value, dict) else None
