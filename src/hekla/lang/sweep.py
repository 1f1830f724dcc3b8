"""Compare a kernel with itself and its reference: reference -> interpreter -> LLVM unoptimised -> LLVM optimised.

The last three are the same program and must agree to the last bit; the reference has a tolerance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hekla.lang.kernel import Kernel

Arguments = Sequence[Any]  # Any: arrays and numbers, as the kernel takes them


@dataclass(frozen=True, slots=True)
class Sweep:
    """A kernel, what it should do, and the arguments to try.

    `reference` takes the kernel's arguments and does what it does, in NumPy: writes into arrays, returns a number.
    `cases` makes the arguments of every case from a seeded generator. `relative` and `absolute` bound how far the
    kernel may be from its reference; NaN equals NaN. `named` are compile-time parameters.
    """

    kernel: Kernel
    reference: Callable[..., Any]  # Any: see Arguments
    cases: Callable[[np.random.Generator], Sequence[Arguments]]
    relative: float = 0.0
    absolute: float = 0.0
    named: tuple[tuple[str, Any], ...] = ()  # Any: compile-time values
    label: str = ""

    @property
    def name(self) -> str:
        """What a test calls it."""
        return self.label or self.kernel.__name__


class SweepError(AssertionError):
    """Two ways to run a kernel gave different answers."""


def run_sweep(sweep: Sweep, seed: int = 0) -> int:
    """Run every case all four ways and return how many there were. Errors: SweepError naming case and step."""
    named = dict(sweep.named)
    unoptimised = sweep.kernel.with_options(optimise=False)
    ways: list[tuple[str, Callable[..., Any]]] = [
        ("the interpreter", lambda *a: sweep.kernel.compiled_for(a, named).interpret(*a)),
        ("LLVM unoptimised", lambda *a: unoptimised(*a, **named)),
        ("LLVM optimised", lambda *a: sweep.kernel(*a, **named)),
    ]
    cases = sweep.cases(np.random.default_rng(seed))
    for number, arguments in enumerate(cases):
        before = _run(sweep.reference, arguments)
        tolerance = (sweep.relative, sweep.absolute)
        name = "the reference"
        for way, function in ways:
            now = _run(function, arguments)
            _compare(f"{sweep.name}, case {number}, {name} -> {way}", before, now, tolerance)
            before, tolerance, name = now, (0.0, 0.0), way
    return len(cases)


def _run(function: Callable[..., Any], arguments: Arguments) -> list[Any]:  # Any: results and arrays
    copies = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    result = function(*copies)
    return [result, *copies]


def _compare(where: str, before: list[Any], now: list[Any], tolerance: tuple[float, float]) -> None:  # Any: see _run
    for position, (a, b) in enumerate(zip(before, now, strict=True)):
        if a is None and b is None:
            continue
        what = "the result" if position == 0 else f"argument {position}"
        if not same(a, b, *tolerance):
            raise SweepError(f"{where}: {what} differs: {_show(a)} and {_show(b)}")


def same(a: Any, b: Any, relative: float, absolute: float) -> bool:  # Any: arrays or numbers
    """True where two results agree within a tolerance; records are compared field by field."""
    one, other = np.asarray(a), np.asarray(b)
    if one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes():
        return True  # bits of any meaning: memory that is seen as floats may hold NaNs that signal
    if one.dtype.names:
        return all(same(one[n], other[n], relative, absolute) for n in one.dtype.names)
    if one.dtype.kind in "biu":
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one.astype(np.float64), other.astype(np.float64), relative, absolute, equal_nan=True))


def _show(value: Any) -> str:  # Any: an array or a number
    return np.array2string(np.asarray(value), threshold=20)
