"""Values at a path of a payload."""

from collections.abc import Iterator
from typing import Any

Json = Any  # a value of a JSON document


def values_at(payload: Json, path: str) -> list[Json]:
    """Return the values at a dotted path, lists opened; [] where there is nothing. Null is a value."""
    found = _walk(payload, path.split("."), 0)
    values: list[Json] = []
    for value in found:
        if isinstance(value, list):
            values += value
        else:
            values.append(value)
    return values


def objects_at(payload: Json, path: str) -> list[Json]:
    """Return the objects at a path, for a nested filter: those of a list, or the one that stands there."""
    return [value for value in values_at(payload, path.removesuffix("[]")) if isinstance(value, dict)]


def _walk(value: Json, steps: list[str], at: int) -> Iterator[Json]:
    if at == len(steps):
        yield value
        return
    if not isinstance(value, dict):
        return
    step = steps[at]
    rest = ".".join(steps[at:])
    if at < len(steps) - 1 and rest in value:  # a key with dots in it
        yield value[rest]
        return
    inner = value.get(step.removesuffix("[]"), _MISSING)
    if inner is _MISSING:
        return
    if isinstance(inner, list) and at < len(steps) - 1:
        for element in inner:
            yield from _walk(element, steps, at + 1)
    else:
        yield from _walk(inner, steps, at + 1)


_MISSING = object()
