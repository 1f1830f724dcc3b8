"""Values known while compiling: numbers, types, kernels, tuples, and the Python that computes with them."""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hekla.base.errors import HeklaError
from hekla.lang import hir
from hekla.lang.errors import KernelTypeError
from hekla.lang.source import Span


@dataclass(frozen=True, slots=True)
class Known:
    """A compile-time value and where it was written."""

    value: Any  # Any: a number, a type, a kernel, a tuple of these
    span: Span

    @property
    def is_number(self) -> bool:
        """True for int, float and bool."""
        return isinstance(self.value, int | float)


Value = Known | hir.Expr

FOLD: Mapping[type[ast.AST], Callable[..., Any]] = {  # Any: Python's own operators on Python's own numbers
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
    ast.LShift: operator.lshift, ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert, ast.Not: operator.not_,
}  # fmt: skip
MAX_BITS = 4096  # of a compile-time integer: nobody needs more, and 9**9**9 must not stop the compiler


def fold(operator_type: type[ast.AST], values: list[Any], span: Span) -> Known:  # Any: see FOLD
    """Apply a Python operator to known values. Errors: KernelTypeError where Python would raise."""
    if operator_type in (ast.Pow, ast.LShift) and all(isinstance(v, int) for v in values):
        base, power = values
        if power > MAX_BITS or max(1, abs(base).bit_length()) * max(power, 1) > MAX_BITS * 8:
            raise KernelTypeError("this constant has too many digits", span=span)
    return evaluate(lambda: FOLD[operator_type](*values), span)


def evaluate(compute: Callable[[], Any], span: Span) -> Known:  # Any: whatever is computed
    """Run compile-time Python, turning what it raises into an error at `span`."""
    try:
        return Known(compute(), span)
    except HeklaError as error:
        raise KernelTypeError(error.message, span=span, cure=error.cure) from error
    except Exception as error:
        raise KernelTypeError(f"evaluating this constant raised {type(error).__name__}: {error}", span=span) from error
