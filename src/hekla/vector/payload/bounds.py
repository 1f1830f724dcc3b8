"""The bounds of a range as the least and the greatest value within, of the type an index holds."""

import math

from hekla.vector.filters import Range

_LEAST, _GREATEST = -(2**63), 2**63 - 1


def whole_bounds(condition: Range) -> tuple[int, int] | None:
    """Return the least and the greatest 64-bit whole number in a range, None where it has none."""
    low, high = _LEAST, _GREATEST
    for bound, is_lower, is_open in _each(condition):
        if bound != bound:
            return None
        if isinstance(bound, float) and math.isinf(bound):
            if (bound > 0) == is_lower:
                return None
            continue
        if is_lower:
            low = max(low, math.floor(bound) + 1 if is_open else math.ceil(bound))
        else:
            high = min(high, math.ceil(bound) - 1 if is_open else math.floor(bound))
    return (low, high) if low <= high else None


def float_bounds(condition: Range) -> tuple[float, float] | None:
    """Return the least and the greatest float in a range, None where it has none."""
    low, high = -math.inf, math.inf
    for bound, is_lower, is_open in _each(condition):
        value = _as_float(bound)
        if value != value or (is_open and math.isinf(value) and (value > 0) == is_lower):
            return None
        if is_lower:
            low = max(low, math.nextafter(value, math.inf) if is_open else value)
        else:
            high = min(high, math.nextafter(value, -math.inf) if is_open else value)
    return (low, high) if low <= high else None


def _each(condition: Range) -> list[tuple[float, bool, bool]]:
    """Return the bounds that are given: the value, is it a lower one, is it itself outside."""
    given = (
        (condition.gt, True, True),
        (condition.gte, True, False),
        (condition.lt, False, True),
        (condition.lte, False, False),
    )
    return [(bound, is_lower, is_open) for bound, is_lower, is_open in given if bound is not None]


def _as_float(bound: float) -> float:
    try:
        return float(bound)
    except OverflowError:  # a whole number past all floats
        return math.inf if bound > 0 else -math.inf
