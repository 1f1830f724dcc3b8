"""What a formula is made of: a tree that gives every point a number.

>>> score = Score() + 0.5 * Value("stars") * When(Match("kind", ("book",)))
>>> Formula(score + Decay("gauss", Distance("place", 64.15, -21.94), scale=5000.0))

Operators make the tree: +, -, *, / and ** between expressions and numbers. Everything is computed in f64, the result
is rounded to f32.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hekla.base.errors import InputError, quoted
from hekla.vector.filters import MAX_CONDITIONS, MAX_DEPTH, Condition, Filter, check_filter, moment

FoldKind = Literal["sum", "mult", "max", "min"]
FunctionKind = Literal["neg", "abs", "sqrt", "exp", "log10", "ln", "acosh"]
DecayKind = Literal["linear", "exponential", "gauss"]


class Expression:
    """A number for each point."""

    __slots__ = ()

    def __add__(self, other: "Term") -> "Fold":
        return Fold("sum", (self, term(other)))

    def __radd__(self, other: float) -> "Fold":
        return Fold("sum", (Number(other), self))

    def __sub__(self, other: "Term") -> "Fold":
        return Fold("sum", (self, -term(other)))

    def __rsub__(self, other: float) -> "Fold":
        return Fold("sum", (Number(other), -self))

    def __mul__(self, other: "Term") -> "Fold":
        return Fold("mult", (self, term(other)))

    def __rmul__(self, other: float) -> "Fold":
        return Fold("mult", (Number(other), self))

    def __truediv__(self, other: "Term") -> "Quotient":
        return Quotient(self, term(other))

    def __rtruediv__(self, other: float) -> "Quotient":
        return Quotient(Number(other), self)

    def __pow__(self, other: "Term") -> "Power":
        return Power(self, term(other))

    def __neg__(self) -> "Function":
        return Function("neg", self)


Term = Expression | int | float


def term(value: Term) -> Expression:
    """Return a number as an expression, an expression as it is."""
    return value if isinstance(value, Expression) else Number(value)


@dataclass(frozen=True, slots=True)
class Number(Expression):
    """This number."""

    value: float


@dataclass(frozen=True, slots=True)
class Score(Expression):
    """The point's score in a prefetch; where that did not find it, the formula's default for `$score[i]`, else 0."""

    prefetch: int = 0


@dataclass(frozen=True, slots=True)
class Value(Expression):
    """The number at a path of the payload; where there is none, the formula's default for the path."""

    path: str


@dataclass(frozen=True, slots=True)
class When(Expression):
    """1 where the condition holds for the point, else 0."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Moment(Expression):
    """A date and time (RFC 3339 text, or a `datetime`) as seconds since 1970."""

    at: str | datetime


@dataclass(frozen=True, slots=True)
class MomentAt(Expression):
    """The date and time at a path of the payload as seconds since 1970, or the formula's default for the path."""

    path: str


@dataclass(frozen=True, slots=True)
class Distance(Expression):
    """Metres along the sphere from here to the place at a path of the payload, or to the formula's default."""

    path: str
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Fold(Expression):
    """Sum, product, greatest or least. A product ends at its first 0: what follows is not looked at."""

    kind: FoldKind
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Quotient(Expression):
    """left / right; `by_zero` in its place where right is 0. 0 / right is 0, and right is not looked at."""

    left: Term
    right: Term
    by_zero: float | None = None


@dataclass(frozen=True, slots=True)
class Power(Expression):
    """base ** exponent."""

    base: Term
    exponent: Term


@dataclass(frozen=True, slots=True)
class Function(Expression):
    """A function of one number."""

    kind: FunctionKind
    of: Term


@dataclass(frozen=True, slots=True)
class Decay(Expression):
    """1 where `of` is at the target, falling with the distance from it, `midpoint` at a distance of `scale`."""

    kind: DecayKind
    of: Term
    target: Term = 0.0
    scale: float = 1.0
    midpoint: float = 0.5


def inner_terms(expression: Term) -> tuple[Term, ...]:
    """Return the expressions that one is made of."""
    if isinstance(expression, Fold):
        return expression.terms
    if isinstance(expression, Quotient):
        return (expression.left, expression.right)
    if isinstance(expression, Power):
        return (expression.base, expression.exponent)
    if isinstance(expression, Function):
        return (expression.of,)
    return (expression.of, expression.target) if isinstance(expression, Decay) else ()


def check_expression(expression: Term, where: str) -> None:
    """Refuse what no point could make right. Errors: InputError and PointError naming the place."""
    level, depth, count = [expression], 0, 0
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > MAX_DEPTH:
            raise InputError(f"is over {MAX_DEPTH} deep", where=where)
        if count > MAX_CONDITIONS:
            raise InputError(f"has over {MAX_CONDITIONS} terms", where=where)
        for each in level:
            _check_one(each, where)
        level = [inner for each in level for inner in inner_terms(each)]


def _check_one(expression: Term, where: str) -> None:
    if not isinstance(expression, Expression | int | float):
        raise InputError(f"expected an expression or a number, got {quoted(expression)}", where=where)
    if isinstance(expression, Fold) and expression.kind in ("max", "min") and not expression.terms:
        raise InputError("needs at least one operand", where=f"{where}.{expression.kind}")
    if isinstance(expression, Moment):
        moment(expression.at, f"{where}.datetime")
    if isinstance(expression, When):
        condition = expression.condition
        check_filter(condition if isinstance(condition, Filter) else Filter(must=(condition,)), where)
    if isinstance(expression, Decay):
        is_linear = expression.kind == "linear"
        if not (0 < expression.midpoint < 1 or (is_linear and expression.midpoint in (0, 1))):
            raise InputError(f"must be between 0 and 1, got {quoted(expression.midpoint)}", where=f"{where}.midpoint")
        if not 0 < expression.scale < float("inf"):
            raise InputError(f"must be above 0, got {quoted(expression.scale)}", where=f"{where}.scale")
