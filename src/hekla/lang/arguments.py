"""Arguments that the fast entry did not take: converted where that is exact, refused by name where it is not."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from hekla.base.errors import DtypeError, ShapeError
from hekla.lang import types as t
from hekla.lang.errors import ArgumentError
from hekla.lang.interface import Interface


def convert_arguments(function: Interface, given: Sequence[Any]) -> list[Any]:  # Any: whatever the caller passed
    """Return the arguments as the entry takes them: exact arrays, Python numbers.

    Errors: ArgumentError, DtypeError or ShapeError naming the parameter.
    """
    names = [p.hint for p in function.params]
    if len(given) != len(names):
        raise ArgumentError(
            f"takes {len(names)} arguments ({', '.join(names)}), got {len(given)}", where=f"{function.name}()"
        )
    done = [_one(f"{function.name}({p.hint})", p.type, a) for p, a in zip(function.params, given, strict=True)]
    _check_disjoint(function, done)
    return done


def _one(where: str, kind: t.Type, given: Any) -> Any:  # Any: see convert_arguments
    if isinstance(kind, t.ViewType):
        return as_array(where, kind, given)
    assert isinstance(kind, t.ScalarType)
    if kind.kind == "bool":
        if isinstance(given, bool | np.bool_):
            return bool(given)
        raise ArgumentError(f"takes a bool, got {_kind_of(given)}", where=where)
    if kind.kind == "float":
        if isinstance(given, bool) or (
            not isinstance(given, int | float | np.floating | np.integer) and not _is_small_float(given)
        ):
            raise ArgumentError(f"takes a number ({kind}), got {_kind_of(given)}", where=where)
        return float(given)
    try:
        number = operator.index(given)
    except TypeError:
        raise ArgumentError(f"takes a whole number ({kind}), got {_kind_of(given)}", where=where) from None
    low, high = kind.limits
    if not low <= number <= high:
        raise ArgumentError(f"{number} does not fit {kind} ({low} to {high})", where=where)
    return number


def _is_small_float(given: object) -> bool:
    return isinstance(given, np.generic) and given.dtype == t.bf16.dtype


def _kind_of(given: object) -> str:
    return f"an array of {given.dtype}" if isinstance(given, np.ndarray) else type(given).__name__


def as_array(where: str, kind: t.ViewType, given: Any) -> "np.ndarray[Any, Any]":  # Any: see convert_arguments
    """Return what was given as an array over the same memory, exactly as the view wants it."""
    array = _array_over(where, kind, given)
    wanted = t.numpy_dtype(kind.element)
    if array.dtype != wanted:
        raise DtypeError(where, expected=str(wanted), got=str(array.dtype))
    if array.dtype is not wanted:
        array = array.view(wanted)
    if array.ndim != kind.rank:
        raise ShapeError(where, expected=f"of {kind.rank} dimensions", got=array.shape)
    if kind.mutable and not array.flags.writeable:
        raise ArgumentError("is written, and the array is read-only", where=where, cure="pass a copy")
    if not array.flags.aligned:
        raise ArgumentError(
            f"the array is not aligned to {t.size_and_align(kind.element)[1]} bytes", where=where, cure="pass a copy"
        )
    _check_strides(where, kind, array)
    return array


def _array_over(where: str, kind: t.ViewType, given: Any) -> "np.ndarray[Any, Any]":  # Any: see convert_arguments
    if isinstance(given, np.ndarray):
        return given.view(np.ndarray)
    if hasattr(given, "__dlpack__"):
        try:
            return np.from_dlpack(given)
        except (BufferError, RuntimeError, TypeError) as error:
            raise ArgumentError(
                f"cannot be read through DLPack: {error}", where=where, cure="move it to the CPU"
            ) from error
    try:
        return np.asarray(memoryview(given))
    except TypeError:
        cure = f"use np.asarray(x, dtype={t.numpy_dtype(kind.element)})"
        raise ArgumentError(f"takes an array for {kind}, got {type(given).__name__}", where=where, cure=cure) from None


def _check_strides(where: str, kind: t.ViewType, array: "np.ndarray[Any, Any]") -> None:
    size = array.dtype.itemsize
    if array.size == 0:
        return  # NumPy gives empty arrays any strides
    if not kind.strided and array.shape[-1] > 1 and array.strides[-1] != size:
        raise ArgumentError(
            "the elements of the last dimension are not side by side",
            where=where,
            cure="pass np.ascontiguousarray(x), or declare the view strided",
        )
    if any(stride % size for stride in array.strides):
        raise ArgumentError(
            f"the strides {array.strides} are not whole elements of {size} bytes", where=where, cure="pass a copy"
        )


def _check_disjoint(function: Interface, given: Sequence[Any]) -> None:  # Any: see convert_arguments
    views = [
        (p.hint, p.type.mutable, a)
        for p, a in zip(function.params, given, strict=True)
        if isinstance(p.type, t.ViewType)
    ]
    for i, (name, writes, array) in enumerate(views):
        for other_name, other_writes, other in views[i + 1 :]:
            if (writes or other_writes) and np.may_share_memory(array, other):
                raise ArgumentError(
                    f"{name} and {other_name} overlap in memory, and {name if writes else other_name} is written",
                    where=f"{function.name}({name}, {other_name})",
                    cure="pass a copy of one of them",
                )
