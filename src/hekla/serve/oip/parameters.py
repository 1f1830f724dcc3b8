"""The parameters of a request that mean something to the server, for REST and gRPC alike."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hekla.base.errors import InputError, TooLargeError, quoted
from hekla.serve.request import Parameters, SequenceStep

_LONGEST_ID = 1024
_MEANT = frozenset({"priority", "timeout", "sequence_id", "sequence_start", "sequence_end"})


class Standing(NamedTuple):
    """How a request stands among others, and the parameters that are the model's business."""

    priority: int  # 1 first; 0: the model's default
    timeout_us: int  # 0: the model's default
    sequence: SequenceStep | None
    others: Parameters


def read_standing(parameters: Mapping[str, Any]) -> Standing:  # Any: what a client sent
    """Return what a request's own parameters say: priority, timeout in microseconds, the sequence extension's.

    Errors: InputError and TooLargeError naming the parameter.
    """
    sequence_id = parameters.get("sequence_id", 0)
    if isinstance(sequence_id, bool) or not isinstance(sequence_id, int | str):
        raise InputError("must be an integer or a string", where="$.parameters.sequence_id")
    if isinstance(sequence_id, str) and len(sequence_id) > _LONGEST_ID:
        raise TooLargeError(
            "$.parameters.sequence_id", limit=f"{_LONGEST_ID} characters", got=f"{len(sequence_id)} characters"
        )
    start, end = _flag(parameters, "sequence_start"), _flag(parameters, "sequence_end")
    return Standing(
        _whole(parameters, "priority"),
        _whole(parameters, "timeout"),
        SequenceStep(sequence_id, start, end) if sequence_id else None,  # 0 and "" mean: outside any sequence
        {name: value for name, value in parameters.items() if name not in _MEANT},
    )


def _whole(parameters: Mapping[str, Any], name: str) -> int:
    value = parameters.get(name, 0)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"must be a whole number of 0 or more, got {quoted(value)}", where=f"$.parameters.{name}")
    return value


def _flag(parameters: Mapping[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise InputError(f"must be true or false, got {quoted(value)}", where=f"$.parameters.{name}")
    return value
