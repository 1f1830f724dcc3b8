"""Typing of operators and conversions: which operation of the IR an expression becomes, or why none."""

import ast
import math
from collections.abc import Mapping

import numpy as np

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.errors import KernelTypeError
from hekla.lang.front.known import Known, Value
from hekla.lang.source import Span

INT, FLOAT = "int", "float"

# operator -> (float, signed, unsigned) operation
ARITHMETIC: Mapping[type[ast.AST], tuple[str, str, str]] = {
    ast.Add: ("arith.addf", "arith.addi", "arith.addi"),
    ast.Sub: ("arith.subf", "arith.subi", "arith.subi"),
    ast.Mult: ("arith.mulf", "arith.muli", "arith.muli"),
    ast.Div: ("arith.divf", "", ""),
    ast.FloorDiv: ("", "arith.floordivsi", "arith.divui"),
    ast.Mod: ("", "arith.floormodsi", "arith.remui"),
    ast.LShift: ("", "arith.shli", "arith.shli"),
    ast.RShift: ("", "arith.shrsi", "arith.shrui"),
    ast.BitAnd: ("", "arith.andi", "arith.andi"),
    ast.BitOr: ("", "arith.ori", "arith.ori"),
    ast.BitXor: ("", "arith.xori", "arith.xori"),
}
SYMBOL: Mapping[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.MatMult: "@",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
COMPARE: Mapping[type[ast.AST], str] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
}  # fmt: skip
LOGIC = (ast.BitAnd, ast.BitOr, ast.BitXor)
CURES: Mapping[tuple[type[ast.AST], str], str] = {
    (ast.Div, INT): "use // for whole numbers, or convert first: f32(a) / f32(b)",
    (ast.FloorDiv, FLOAT): "write floor(a / b)",
    (ast.Mod, FLOAT): "write a - floor(a / b) * b",
    (ast.Pow, INT): "multiply, or shift for powers of two",
    (ast.Pow, FLOAT): "multiply for small powers; exp(log(x) * y) otherwise",
    (ast.MatMult, FLOAT): "call a matrix kernel",
}


def type_text(value: Value) -> str:
    """Return what an error calls the type of a value."""
    if isinstance(value, hir.Expr):
        return str(value.type)
    return f"the constant {value.value!r}" if value.is_number else f"{value.value!r}"


def materialise(value: Value, wanted: t.Type, *, what: str = "this value") -> hir.Expr:
    """Return the value as an expression of exactly the type wanted.

    Constants take the type if they fit; scalars are spread over vectors. Nothing else is converted.
    Errors: KernelTypeError naming both types.
    """
    if isinstance(value, hir.Expr):
        if value.type == wanted:
            return value
        if isinstance(wanted, t.VecType) and value.type == wanted.element:
            return hir.Op(wanted, value.span, "vector.splat", [value])
        widened = _relaxed_view(value, wanted)
        if widened is not None:
            return widened
        raise KernelTypeError(
            f"{what} must be {wanted}, got {value.type}", span=value.span, cure=conversion_cure(value.type, wanted)
        )
    element = t.element_of(wanted)
    if element is None or not value.is_number:
        raise KernelTypeError(f"{what} must be {wanted}, got {type_text(value)}", span=value.span)
    const = constant(value, element)
    return const if wanted == element else hir.Op(wanted, value.span, "vector.splat", [const])


def constant(value: Known, element: t.ScalarType) -> hir.Const:
    """Return a known number as a constant of a scalar type, exactly or not at all (floats round to nearest)."""
    number = value.value
    if element.kind == "bool":
        if isinstance(number, bool):
            return hir.Const(element, value.span, number)
        raise KernelTypeError(f"{number!r} is not a truth value", span=value.span, cure="write True or False")
    if isinstance(number, bool):
        raise KernelTypeError(f"{number} is a truth value, not {element}", span=value.span, cure="write 1 or 0")
    if element.kind == "float":
        return hir.Const(element, value.span, _rounded(value, element))
    if isinstance(number, float):
        raise KernelTypeError(f"{number!r} is not a whole number, and {element} is wanted", span=value.span)
    low, high = element.limits
    if not low <= number <= high:
        raise KernelTypeError(f"{number} does not fit {element} ({low} to {high})", span=value.span)
    return hir.Const(element, value.span, number)


def _rounded(value: Known, element: t.ScalarType) -> float:
    try:
        with np.errstate(over="ignore"):
            rounded = float(np.asarray(float(value.value)).astype(element.dtype))
    except OverflowError:
        rounded = math.inf
    if math.isinf(rounded) and value.value not in (math.inf, -math.inf):
        raise KernelTypeError(f"{value.value!r} is too large for {element}", span=value.span)
    return rounded


def _relaxed_view(value: hir.Expr, wanted: t.Type) -> hir.Expr | None:
    """Return a view as a less able one: a writer as a reader, a dense one as a strided one."""
    have = value.type
    if not (isinstance(have, t.ViewType) and isinstance(wanted, t.ViewType)):
        return None
    if (have.element, have.rank) != (wanted.element, wanted.rank):
        return None
    if (wanted.mutable and not have.mutable) or (have.strided and not wanted.strided):
        return None
    return hir.Op(wanted, value.span, "memref.cast", [value])


def conversion_cure(have: t.Type, wanted: t.Type) -> str:
    """Return how the author gets from one type to another."""
    if wanted == t.bool_:
        return "compare it with something: x != 0"
    if t.element_of(have) is not None and t.element_of(have) == t.element_of(wanted):
        lanes = getattr(have, "lanes", 1), getattr(wanted, "lanes", 1)
        return (
            "take one lane, v[0], or reduce the vector" if lanes[1] == 1 else "bring both to the same number of lanes"
        )
    if t.element_of(have) is not None and t.element_of(wanted) is not None:
        lanes = isinstance(have, t.VecType), isinstance(wanted, t.VecType)
        if lanes == (True, False):
            return "take one lane, v[0], or reduce the vector"
        return f"convert it: {t.element_of(wanted)}(...)"
    if isinstance(have, t.ViewType) and isinstance(wanted, t.ViewType) and wanted.mutable and not have.mutable:
        return "the view only reads; declare the parameter it comes from as MutView"
    if isinstance(have, t.ArrayType | t.BufferType) and isinstance(wanted, t.ViewType):
        return "lend it: .mut() to write, .view() to read"
    return ""


def unify(left: Value, right: Value, span: Span, symbol: str) -> tuple[hir.Expr, hir.Expr]:
    """Return both operands at one type. Errors: KernelTypeError naming both."""
    if isinstance(left, Known) and isinstance(right, hir.Expr):
        return _adapt(left, right, span, symbol), right
    if isinstance(right, Known) and isinstance(left, hir.Expr):
        return left, _adapt(right, left, span, symbol)
    assert isinstance(left, hir.Expr)
    assert isinstance(right, hir.Expr)
    if left.type == right.type:
        return left, right
    if isinstance(left.type, t.VecType) and left.type.element == right.type:
        return left, materialise(right, left.type)
    if isinstance(right.type, t.VecType) and right.type.element == left.type:
        return materialise(left, right.type), right
    raise KernelTypeError(
        f"{symbol} needs two values of one type, got {left.type} and {right.type}",
        span=span,
        cure=conversion_cure(right.type, left.type),
    )


def _adapt(value: Known, other: hir.Expr, span: Span, symbol: str) -> hir.Expr:
    if not value.is_number or t.element_of(other.type) is None:
        raise KernelTypeError(
            f"{symbol} does not take {type_text(value)} and {other.type}", span=span, cure=_elements(other.type)
        )
    return materialise(value, other.type, what=f"the constant beside {other.type}")


def binary(operator_type: type[ast.AST], left: Value, right: Value, span: Span) -> hir.Expr:
    """Type an arithmetic or bit operator of which at least one side is not known."""
    symbol = SYMBOL[operator_type]
    a, b = unify(left, right, span, symbol)
    element = t.element_of(a.type)
    if element is None:
        raise KernelTypeError(f"{symbol} does not take {a.type}", span=span, cure=_elements(a.type))
    if element.kind == "bool":
        if operator_type not in LOGIC:
            raise KernelTypeError(f"{symbol} does not take truth values", span=span, cure="use & | ^ or and, or, not")
        return hir.Op(a.type, span, ARITHMETIC[operator_type][2], [a, b])
    names = ARITHMETIC.get(operator_type, ("", "", ""))
    name = names[0] if element.kind == "float" else names[1 if element.signed else 2]
    if not name:
        cure = CURES.get((operator_type, element.kind), "")
        raise KernelTypeError(f"{symbol} does not take {a.type}", span=span, cure=cure)
    return hir.Op(a.type, span, name, [a, b])


def compare(operator_type: type[ast.AST], left: Value, right: Value, span: Span) -> hir.Expr:
    """Type a comparison; vectors give a mask."""
    symbol = SYMBOL[operator_type]
    a, b = unify(left, right, span, symbol)
    element = t.element_of(a.type)
    if element is None or (element.kind == "bool" and operator_type not in (ast.Eq, ast.NotEq)):
        raise KernelTypeError(f"{symbol} does not compare {a.type}", span=span, cure=_elements(a.type))
    predicate = COMPARE[operator_type]
    result = t.with_element(a.type, t.bool_)
    if element.kind == "float":
        # NaN differs from everything, itself included, as in IEEE 754 and in Python
        return hir.Op(
            result, span, "arith.cmpf", [a, b], {"predicate": ("u" if predicate == "ne" else "o") + predicate}
        )
    sign = "" if predicate in ("eq", "ne") else ("s" if element.signed else "u")
    return hir.Op(result, span, "arith.cmpi", [a, b], {"predicate": sign + predicate})


def unary(operator_type: type[ast.AST], value: hir.Expr, span: Span) -> hir.Expr:
    """Type -x, +x, ~x and `not x`."""
    element = t.element_of(value.type)
    if element is None:
        raise KernelTypeError(f"this operator does not take {value.type}", span=span, cure=_elements(value.type))
    if operator_type is ast.Not:
        if value.type != t.bool_:
            cure = "write ~mask" if element.kind == "bool" else "compare with 0"
            raise KernelTypeError(f"not takes a truth value, got {value.type}", span=span, cure=cure)
        return hir.Op(value.type, span, "arith.xori", [value, hir.Const(t.bool_, span, True)])
    if operator_type is ast.UAdd and element.kind != "bool":
        return value
    if operator_type is ast.USub and element.kind == "float":
        return hir.Op(value.type, span, "arith.negf", [value])
    if operator_type is ast.USub and element.kind == "int":
        return hir.Op(value.type, span, "arith.subi", [materialise(Known(0, span), value.type), value])
    if operator_type is ast.Invert and element.kind != "float":
        ones: int | bool = True if element.kind == "bool" else (-1 if element.signed else element.limits[1])
        return hir.Op(value.type, span, "arith.xori", [value, materialise(Known(ones, span), value.type)])
    cure = "bitcast it to an integer first" if element.kind == "float" else "convert it to an integer first"
    raise KernelTypeError(f"this operator does not take {value.type}", span=span, cure=cure)


def _elements(kind: t.Type) -> str:
    """Return the cure for an operator on something that is no number."""
    if isinstance(kind, t.StructType):
        return "use its fields"
    return "loop over its elements x[i], or over vectors load(x, i, width=16)" if kind is not t.none else ""


def convert(value: Value, element: t.ScalarType, span: Span) -> hir.Expr:
    """Type `f32(x)`: each lane to another scalar type.

    Integers wrap, floats round to nearest, float to integer cuts towards zero and stops at the limits (NaN
    gives 0). Errors: KernelTypeError for what has no meaning as a number.
    """
    if isinstance(value, Known):
        if not value.is_number:
            raise KernelTypeError(f"{element}(...) takes a number, got {type_text(value)}", span=span)
        return constant(value, element)
    have = t.element_of(value.type)
    if have is None:
        raise KernelTypeError(f"{element}(...) takes a number or a vector, got {value.type}", span=span)
    if have == element:
        return value
    if element.kind == "bool":
        raise KernelTypeError(f"{have} is not a truth value", span=span, cure="compare: x != 0")
    half, other = (have, element) if have in (t.f16, t.bf16) else (element, have)
    if half in (t.f16, t.bf16) and other not in (t.f32, t.bool_):
        # the only conversion of half floats that machines have is with f32: the rest goes through it
        value, have = convert(value, t.f32, span), t.f32
    return hir.Op(t.with_element(value.type, element), span, _conversion(have, element), [value])


def _conversion(have: t.ScalarType, wanted: t.ScalarType) -> str:
    if have.kind == "float":
        if wanted.kind == "float":
            return "arith.extf" if wanted.bits > have.bits else "arith.truncf"
        return "arith.fptosi" if wanted.signed else "arith.fptoui"
    if wanted.kind == "float":
        return "arith.sitofp" if have.signed else "arith.uitofp"
    if wanted.bits == have.bits:
        return "arith.bitcast"
    if wanted.bits < have.bits:
        return "arith.trunci"
    return "arith.extsi" if have.signed else "arith.extui"


def as_index(value: Value, what: str) -> hir.Expr:
    """Return an integer as `index`: every integer type but u64 fits without loss."""
    if isinstance(value, Known):
        return materialise(value, t.index, what=what)
    if not t.is_scalar(value.type, "int"):
        raise KernelTypeError(f"{what} must be a whole number, got {value.type}", span=value.span)
    if value.type == t.u64:
        raise KernelTypeError(
            f"{what} is u64, which index cannot always hold", span=value.span, cure="write index(...)"
        )
    return convert(value, t.index, value.span)
