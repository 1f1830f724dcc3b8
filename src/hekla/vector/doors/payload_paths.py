"""Changes to payloads at paths."""

from collections.abc import Mapping, Sequence
from typing import Any

Json = Any  # a value of a JSON document


def merged_at(payload: Mapping[str, Json], path: str, values: Mapping[str, Json]) -> dict[str, Json]:
    """Return a payload with values set in the object at a path, which is made where it is missing."""
    return _merged(dict(payload), path.split("."), values)


def _merged(payload: dict[str, Json], steps: Sequence[str], values: Mapping[str, Json]) -> dict[str, Json]:
    if not steps:
        return {**payload, **values}
    step, rest = steps[0], steps[1:]
    if step.endswith("[]"):
        inner = payload.get(step[:-2])
        each = inner if isinstance(inner, list) else []
        return {
            **payload,
            step[:-2]: [_merged(value if isinstance(value, dict) else {}, rest, values) for value in each],
        }
    inner = payload.get(step)
    return {**payload, step: _merged(inner if isinstance(inner, dict) else {}, rest, values)}


def without(payload: Mapping[str, Json], paths: Sequence[str]) -> dict[str, Json]:
    """Return a payload without what is at these paths."""
    kept = dict(payload)
    for path in paths:
        kept = _without(kept, path.split("."))
    return kept


def _without(payload: Json, steps: Sequence[str]) -> Json:
    if not isinstance(payload, dict):
        return payload
    if ".".join(steps) in payload:
        return {key: value for key, value in payload.items() if key != ".".join(steps)}
    name = steps[0].removesuffix("[]")
    if name not in payload:
        return payload
    if len(steps) == 1:
        if steps[0].endswith("[]"):
            return {**payload, name: []} if isinstance(payload[name], list) else payload
        return {key: value for key, value in payload.items() if key != name}
    inner = payload[name]
    if isinstance(inner, list):
        return {**payload, name: [_without(each, steps[1:]) for each in inner]} if steps[0].endswith("[]") else payload
    return {**payload, name: _without(inner, steps[1:])}
