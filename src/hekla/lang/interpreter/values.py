"""What each operation without memory means, in NumPy: scalars are NumPy scalars, vectors are arrays of lanes."""

import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from hekla.lang import types as t
from hekla.lang.ir.core import Attributes

Data = Any  # NumPy scalars and arrays of any element type
Meaning = Callable[[Attributes, t.Type, list[Data]], Data]


def dtype_of(kind: t.Type) -> "np.dtype[Any]":  # Any: one of many element types
    """Return the NumPy element type of a scalar or vector type."""
    element = t.element_of(kind)
    assert element is not None
    return element.dtype


def typed(kind: t.Type, value: Data) -> Data:
    """Return a value as NumPy data of a scalar or vector type, wrapping integers."""
    array = np.asarray(value).astype(dtype_of(kind))
    return array if isinstance(kind, t.VecType) else array[()]


def _binary(function: Callable[..., Data]) -> Meaning:
    return lambda attrs, kind, args: typed(kind, function(*args))


def _shift(function: Callable[..., Data]) -> Meaning:
    def meaning(attrs: Attributes, kind: t.Type, args: list[Data]) -> Data:
        element = t.element_of(kind)
        assert element is not None
        return typed(kind, function(args[0], typed(kind, args[1] & typed(kind, element.bits - 1))))

    return meaning


_PREDICATES: Mapping[str, Callable[[Data, Data], Data]] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip


def _fits(function: Callable[[int, int], int]) -> Meaning:
    def meaning(attrs: Attributes, kind: t.Type, args: list[Data]) -> Data:
        limits = np.iinfo(args[0].dtype)
        return np.bool_(limits.min <= function(int(args[0]), int(args[1])) <= limits.max)

    return meaning


def _compare(attrs: Attributes, kind: t.Type, args: list[Data]) -> Data:
    return typed(kind, _PREDICATES[attrs["predicate"][-2:]](args[0], args[1]))


def _compare_integers(attrs: Attributes, kind: t.Type, args: list[Data]) -> Data:
    a, b = (np.asarray(x) for x in args)
    if attrs["predicate"][0] == "u" and a.dtype.kind == "i":
        a, b = (x.view(f"u{x.dtype.itemsize}") for x in (a, b))
    return _compare(attrs, kind, [a, b])


def _min(a: Data, b: Data) -> Data:
    return np.where(a < b, a, b)


def _max(a: Data, b: Data) -> Data:
    return np.where(a > b, a, b)


def saturated(value: Data, kind: t.Type) -> Data:
    """Return floats as integers: cut towards zero, stopped at the limits, NaN is 0."""
    element = t.element_of(kind)
    assert element is not None
    low, high = element.limits
    wide = np.asarray(value).astype(np.float64)
    below, above, missing = wide <= float(low), wide >= float(high), np.isnan(wide)
    whole = np.where(below | above | missing, 0.0, np.trunc(wide)).astype(element.dtype)
    limited = np.where(below, element.dtype.type(low), np.where(above, element.dtype.type(high), whole))
    return typed(kind, limited)


def fused(a: Data, b: Data, c: Data) -> Data:
    """Return a * b + c rounded once, for f32 and f64."""
    if np.asarray(a).dtype == np.float64:
        return np.vectorize(_fused_double, otypes=[np.float64])(a, b, c)
    product = np.asarray(a, np.float64) * np.asarray(b, np.float64)  # exact: 48 bits
    addend = np.asarray(c, np.float64)
    total = np.asarray(product + addend)
    back = total - product
    error = (product - (total - back)) + (addend - back)  # Knuth's TwoSum
    even = (total.view(np.int64) & 1) == 0
    # round to odd: an inexact sum must not look like a tie to the second rounding
    towards = np.where(error > 0, np.inf, -np.inf)
    odd = np.where((error != 0) & np.isfinite(error) & even, np.nextafter(total, towards), total)
    return np.asarray(odd).astype(np.float32)


def _fused_double(a: float, b: float, c: float) -> float:
    if not (np.isfinite(a) and np.isfinite(b)) or a == 0 or b == 0:
        return a * b + c
    if not np.isfinite(c):
        return c  # whatever the product, which may be past the largest double
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c if c == 0 else 0.0
    try:
        return float(exact)
    except OverflowError:
        return float("inf") if exact > 0 else float("-inf")


def _bits(function: Callable[[int, int], int]) -> Meaning:
    def meaning(attrs: Attributes, kind: t.Type, args: list[Data]) -> Data:
        element = t.element_of(kind)
        assert element is not None
        mask = (1 << element.bits) - 1
        count = np.vectorize(lambda v: function(int(v) & mask, element.bits), otypes=[np.int64])
        return typed(kind, count(args[0]))

    return meaning


_COMBINE: Mapping[str, Callable[[Data, Data], Data]] = {
    "add": np.add, "min": _min, "max": _max, "and": np.bitwise_and, "or": np.bitwise_or,
}  # fmt: skip


def _halving(kind: str, value: Data) -> Data:
    combine = _COMBINE[kind]
    while len(value) > 1:
        half = len(value) // 2
        value = np.asarray(combine(value[:half], value[half:])).astype(value.dtype)
    return value[0]


def _dot4(attrs: Attributes, kind: t.Type, args: list[Data]) -> Data:
    acc, a, b = args
    products = a.astype(np.int64) * b.astype(np.int64)
    return typed(kind, acc.astype(np.int64) + products.reshape(-1, 4).sum(axis=1))


def _bitcast(attrs: Attributes, kind: t.Type, args: list[Data]) -> Data:
    raw = np.atleast_1d(np.asarray(args[0])).view(dtype_of(kind))
    return raw.copy() if isinstance(kind, t.VecType) else raw[0]


def _insert(attrs: Attributes, kind: t.Type, args: list[Data]) -> Data:
    value, vector, lane = args
    changed = vector.copy()
    changed[int(lane) % len(vector)] = value
    return changed


def _cast(attrs: Attributes, kind: t.Type, args: list[Data]) -> Data:
    return typed(kind, args[0])


def _splat(attrs: Attributes, kind: t.Type, args: list[Data]) -> Data:
    assert isinstance(kind, t.VecType)
    return np.full(kind.lanes, args[0], dtype_of(kind))


def _array(attrs: Attributes, kind: t.Type, args: list[Data]) -> Data:
    assert isinstance(kind, t.ArrayType)
    dtype = t.numpy_dtype(kind)
    filled = np.zeros((), np.dtype([("a", dtype)]))["a"]
    filled[...] = args[0] if len(args) == 1 else np.stack([np.asarray(a) for a in args])
    return filled


def _record(attrs: Attributes, kind: t.Type, args: list[Data]) -> Data:
    assert isinstance(kind, t.StructType)
    record = np.zeros(1, kind.dtype)
    for (name, _), value in zip(kind.fields, args, strict=True):
        record[name][0] = value
    return record[0]


MEANINGS: Mapping[str, Meaning] = {
    "arith.constant": lambda attrs, kind, args: typed(kind, attrs["value"]),
    "arith.addi": _binary(np.add), "arith.subi": _binary(np.subtract), "arith.muli": _binary(np.multiply),
    "arith.addi_fits": _fits(operator.add), "arith.subi_fits": _fits(operator.sub),
    "arith.muli_fits": _fits(operator.mul),
    "arith.addf": _binary(np.add), "arith.subf": _binary(np.subtract), "arith.mulf": _binary(np.multiply),
    "arith.divf": _binary(np.divide), "arith.negf": _binary(np.negative),
    "arith.andi": _binary(np.bitwise_and), "arith.ori": _binary(np.bitwise_or), "arith.xori": _binary(np.bitwise_xor),
    "arith.shli": _shift(np.left_shift), "arith.shrsi": _shift(np.right_shift), "arith.shrui": _shift(np.right_shift),
    "arith.floordivsi": _binary(np.floor_divide), "arith.floormodsi": _binary(np.remainder),
    "arith.divui": _binary(np.floor_divide), "arith.remui": _binary(np.remainder),
    "arith.cmpi": _compare_integers, "arith.cmpf": _compare, "arith.select": _binary(np.where),
    "arith.minf": _binary(_min), "arith.maxf": _binary(_max),
    "arith.minsi": _binary(_min), "arith.maxsi": _binary(_max),
    "arith.minui": _binary(_min), "arith.maxui": _binary(_max),
    "arith.trunci": _cast, "arith.extsi": _cast, "arith.extui": _cast, "arith.sitofp": _cast, "arith.uitofp": _cast,
    "arith.extf": _cast, "arith.truncf": _cast, "arith.bitcast": _bitcast,
    "arith.fptosi": lambda attrs, kind, args: saturated(args[0], kind),
    "arith.fptoui": lambda attrs, kind, args: saturated(args[0], kind),
    "math.fma": lambda attrs, kind, args: typed(kind, fused(*args)), "math.sqrt": _binary(np.sqrt),
    "math.absf": _binary(np.abs), "math.absi": _binary(np.abs), "math.floor": _binary(np.floor),
    "math.ceil": _binary(np.ceil), "math.trunc": _binary(np.trunc), "math.roundeven": _binary(np.rint),
    "math.copysign": _binary(np.copysign), "math.ctpop": _bits(lambda v, bits: v.bit_count()),
    "math.ctlz": _bits(lambda v, bits: bits - v.bit_length()),
    "math.cttz": _bits(lambda v, bits: (v & -v).bit_length() - 1 if v else bits),
    "vector.splat": _splat,
    "vector.from_elements": lambda attrs, kind, args: np.array(args, dtype_of(kind)),
    "vector.step": lambda attrs, kind, args: np.arange(kind.lanes).astype(dtype_of(kind)),  # type: ignore[attr-defined]  # a VecType, says the verifier
    "vector.extract": lambda attrs, kind, args: args[0][int(args[1]) % len(args[0])], "vector.insert": _insert,
    "vector.shuffle": lambda attrs, kind, args: np.concatenate(args)[list(attrs["lanes"])],
    "vector.create_mask": lambda attrs, kind, args: np.arange(kind.lanes) < args[0],  # type: ignore[attr-defined]  # see above
    "vector.reduction": lambda attrs, kind, args: _halving(attrs["kind"], args[0]), "vector.dot4": _dot4,
    "tensor.splat": _array, "tensor.from_elements": _array, "llvm.struct": _record,
}  # fmt: skip
