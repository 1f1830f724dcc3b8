"""Joining the raw tensors of requests that are alike, for the doors that answer them as one batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hekla.base.dtypes import DType
from hekla.protocols.tensor import Array, Tensors


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """One input of requests that are alike; a raw one lies at bytes `start` to `stop` of a request's payload."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    start: int = 0
    stop: int = 0


def join_binary(tensors: Sequence[PlannedTensor], payloads: Sequence[bytes | memoryview]) -> tuple[Tensors, int]:
    """Return the tensors of all payloads joined along their first axis, and how many bytes were copied for it.

    A single payload is viewed, not copied, where it is aligned.
    """
    inputs: dict[str, Array] = {}
    copied_bytes = 0
    for tensor in tensors:
        pieces = payloads
        if len(tensors) > 1:
            pieces = [payload[tensor.start : tensor.stop] for payload in payloads]
        array: Array = np.frombuffer(pieces[0] if len(pieces) == 1 else b"".join(pieces), tensor.dtype.numpy)
        if not array.flags.aligned:
            array = array.copy()
            copied_bytes += array.nbytes
        elif len(pieces) > 1:
            copied_bytes += array.nbytes
        array.flags.writeable = False
        inputs[tensor.name] = array.reshape(-1, *tensor.shape[1:])
    return inputs, copied_bytes
