"""The parameters of a request that mean something to the server, for REST and gRPC alike."""

from hekla.base.errors import InputError, TooLargeError, quoted
from hekla.serve.request import InferRequest, Parameters, SequenceStep

_LONGEST_ID = 1024


def apply_parameters(request: InferRequest, parameters: Parameters) -> None:
    """Read priority, timeout and the sequence extension's parameters into a request; the others stay free text.

    `timeout` is in microseconds, `priority` 1 comes first, 0 is the default of both.
    Errors: InputError naming the parameter.
    """
    request.parameters = parameters
    request.priority = _whole(parameters, "priority")
    request.timeout_us = _whole(parameters, "timeout")
    sequence_id = parameters.get("sequence_id", 0)
    if isinstance(sequence_id, bool) or not isinstance(sequence_id, int | str):
        raise InputError("must be an integer or a string", where="$.parameters.sequence_id")
    if isinstance(sequence_id, str) and len(sequence_id) > _LONGEST_ID:
        raise TooLargeError(
            "$.parameters.sequence_id", limit=f"{_LONGEST_ID} characters", got=f"{len(sequence_id)} characters"
        )
    if sequence_id:
        start, end = _flag(parameters, "sequence_start"), _flag(parameters, "sequence_end")
        request.sequence = SequenceStep(sequence_id, start, end)


def _whole(parameters: Parameters, name: str) -> int:
    value = parameters.get(name, 0)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"must be a whole number of 0 or more, got {quoted(value)}", where=f"$.parameters.{name}")
    return value


def _flag(parameters: Parameters, name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise InputError(f"must be true or false, got {quoted(value)}", where=f"$.parameters.{name}")
    return value
