"""What was learned from an inference request, for the next one that differs from it in its numbers only.

A client sends the same names, shapes and parameters over and over. So the first such request is read in full
(`rest_request`), and the bytes around its numbers are kept: a later body with exactly these bytes around other numbers
means the same, and only the numbers are read. With binary tensors the JSON header as a whole is what is kept.

    {"inputs":[{"name":"x","shape":[1,64],"datatype":"FP32","data":[  0.1, 0.2 ...  ]}]}
    ^ the plan's prefix                                            ^ the numbers    ^ its suffix

Anything else (another shape, two tensors in JSON, texts, shared memory) is read in full each time.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson

from hekla.base.dtypes import DType
from hekla.protocols.tensor import Array
from hekla.serve.oip.join import PlannedTensor
from hekla.serve.oip.rest_request import Wanted
from hekla.serve.request import InferRequest, Signature

_KEPT = 64  # plans of one model
_KEPT_BYTES = 8192  # around the numbers of one plan
_CREDIT = 16  # plans that may be learned without one being used: requests that all differ (by an id) have none
_RETRY_EVERY = 64  # requests read in full after that, until one is learned again
_DATA = re.compile(rb'"data"\s*:\s*(?=\[)')
# Not numbers, or of so short a range that the quick look for infinities would find them where there are none.
_READ_IN_FULL = (DType.BOOL, DType.FP16, DType.BF16)
_INPUTS = re.compile(rb'"inputs"\s*:')
_NUMBERS = re.compile(rb"[\[\]0-9eE+\-., \t\r\n]*")
_WHOLE = b"[]0123456789-, \t\r\n"
_ANY_NUMBER = _WHOLE + b"+.eE"


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """An answer of one tensor in JSON: what stands before its numbers, given this version, dtype and shape."""

    version: str
    name: str
    dtype: "np.dtype[Any]"
    shape: tuple[int, ...]
    prefix: bytes

    @property
    def answer_bytes(self) -> int:
        """About how long such an answer is."""
        return len(self.prefix) + 16 * math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class BinaryAnswer:
    """An answer of one binary tensor: its JSON header, given this version, dtype and shape."""

    version: str
    name: str
    dtype: "np.dtype[Any]"
    shape: tuple[int, ...]
    header: bytes
    http_headers: tuple[tuple[bytes, bytes], ...]

    @property
    def answer_bytes(self) -> int:
        """How long such an answer is."""
        return len(self.header) + self.dtype.itemsize * math.prod(self.shape)


class Plan:
    """One kind of request. `last_answer` is a note on how the last one was answered."""

    __slots__ = (
        "binary_bytes",
        "is_binary",
        "last_answer",
        "prefix",
        "request",
        "signature",
        "suffix",
        "tensors",
        "wanted",
    )

    def __init__(
        self, request: InferRequest, wanted: Wanted, tensors: Sequence[PlannedTensor], prefix: bytes, suffix: bytes
    ) -> None:
        # Less its tensors, which would keep the body they are views of.
        self.request, self.wanted, self.tensors = replace(request, inputs={}), wanted, tuple(tensors)
        self.prefix, self.suffix = prefix, suffix
        self.binary_bytes = max((tensor.stop for tensor in tensors), default=0)
        self.signature = Signature()
        self.is_binary = not prefix
        self.last_answer: JsonAnswer | BinaryAnswer | None = None

    def read(self, payload: bytes | memoryview) -> InferRequest | None:
        """Return the request around a payload; None if it must be read in full after all."""
        inputs = self._read_binary(payload) if self.is_binary else self._read_numbers(payload)
        return None if inputs is None else self._filled(inputs)

    def _read_numbers(self, text: bytes | memoryview) -> dict[str, Array] | None:
        (tensor,) = self.tensors
        try:
            array: Array = np.array(orjson.loads(text), tensor.dtype.numpy)
            if array.shape != tensor.shape:
                array = array.reshape(tensor.shape)
        except (ValueError, OverflowError):
            return None
        flat = array.reshape(-1)
        if tensor.dtype.is_float and not math.isfinite(flat.dot(flat)):  # a number may have become infinite
            return None
        return {tensor.name: array}

    def _read_binary(self, payload: bytes | memoryview) -> dict[str, Array] | None:
        inputs: dict[str, Array] = {}
        for tensor in self.tensors:
            array = np.frombuffer(payload[tensor.start : tensor.stop], tensor.dtype.numpy)
            if not array.flags.aligned:
                return None  # it is copied, and the copy counted, where it is read in full
            array.flags.writeable = False
            inputs[tensor.name] = array.reshape(tensor.shape)
        return inputs

    def _filled(self, inputs: dict[str, Array]) -> InferRequest:
        like = self.request
        return InferRequest(
            like.model,
            inputs,
            like.version,
            like.id,
            like.outputs,
            like.priority,
            like.timeout_us,
            like.sequence,
            like.parameters,
            signature=self.signature,
        )


class RestPlans:
    """The plans of one model and version of one door."""

    def __init__(self) -> None:
        self._json: list[Plan] = []  # the one used last first
        self._binary: dict[bytes, Plan] = {}  # by JSON header
        self._credit = _CREDIT
        self._until_retry = _RETRY_EVERY

    def match(self, body: memoryview, json_bytes: int | None) -> tuple[Plan, bytes | memoryview] | None:
        """Return the plan that a body fits and its payload: the text of its numbers, or the bytes behind its JSON."""
        found = self._match_json(body) if json_bytes is None else self._match_binary(body, json_bytes)
        if found is not None:
            self._credit = _CREDIT
        return found

    def _match_json(self, body: memoryview) -> tuple[Plan, bytes] | None:
        for plan in self._json:
            text = _numbers_between(plan, body)
            if text is not None:
                if plan is not self._json[0]:
                    self._json.remove(plan)
                    self._json.insert(0, plan)
                return plan, text
        return None

    def _match_binary(self, body: memoryview, json_bytes: int) -> tuple[Plan, memoryview] | None:
        plan = self._binary.get(bytes(body[:json_bytes]))
        if plan is None or len(body) - json_bytes != plan.binary_bytes:
            return None
        return plan, body[json_bytes:]

    def learn(self, body: memoryview, json_bytes: int | None, request: InferRequest, wanted: Wanted) -> Plan | None:
        """Return a plan for requests like this one, which was read in full; None where there is no plan for such."""
        if not self._credit:
            self._until_retry -= 1
            if self._until_retry:
                return None
            self._until_retry = _RETRY_EVERY
        else:
            self._credit -= 1
        if wanted.shared or any(array.dtype.hasobject for array in request.inputs.values()):
            return None
        if json_bytes is not None:
            return self._learn_binary(body, json_bytes, request, wanted)
        if len(request.inputs) != 1:
            return None
        ((name, array),) = request.inputs.items()
        tensor = PlannedTensor(name, DType.of(array.dtype), array.shape)
        text = bytes(body)
        places = [match.end() for match in _DATA.finditer(text)]
        if tensor.dtype in _READ_IN_FULL or len(places) != 1:
            return None
        start = places[0]
        region = _NUMBERS.match(text, start)
        assert region is not None
        stop = start + len(region[0].rstrip(b", \t\r\n"))
        prefix, suffix = text[:start], text[stop:]
        if not _is_unmistakable(prefix, suffix):
            return None
        plan = Plan(request, wanted, (tensor,), prefix, suffix)
        numbers = _numbers_between(plan, body)
        read = plan.read(numbers) if numbers is not None else None
        if read is None or not np.array_equal(read.inputs[name], array):
            return None
        self._json.insert(0, plan)
        del self._json[4:]  # more kinds than this in turn would cost more to look through than they save
        return plan

    def _learn_binary(self, body: memoryview, json_bytes: int, request: InferRequest, wanted: Wanted) -> Plan | None:
        if json_bytes > _KEPT_BYTES:
            return None
        tensors: list[PlannedTensor] = []
        position = 0
        for name, array in request.inputs.items():
            dtype = DType.of(array.dtype)
            if dtype is DType.BOOL or not array.size:
                return None
            tensors.append(PlannedTensor(name, dtype, array.shape, position, position + array.nbytes))
            position += array.nbytes
        if position != len(body) - json_bytes:  # some are in JSON
            return None
        if len(self._binary) >= _KEPT:
            self._binary.clear()
        plan = self._binary[bytes(body[:json_bytes])] = Plan(request, wanted, tensors, b"", b"")
        return plan


def _is_unmistakable(prefix: bytes, suffix: bytes) -> bool:
    """Is the one `"data": [` of a request sure to be its one tensor, whatever numbers stand there?

    Without escapes every key is spelled as it is, and no text can look like one. With one list of inputs no second one
    (the last of equal keys counts) can hide it.
    """
    around = prefix + suffix
    return len(around) <= _KEPT_BYTES and b"\\" not in around and len(_INPUTS.findall(around)) == 1


def _numbers_between(plan: Plan, body: memoryview) -> bytes | None:
    """Return the text between prefix and suffix; None if they differ, or it is not one of numbers."""
    start, stop = len(plan.prefix), len(body) - len(plan.suffix)
    if stop <= start or body[:start] != plan.prefix or body[stop:] != plan.suffix:
        return None
    text = bytes(body[start:stop])
    return None if text.translate(None, _ANY_NUMBER if plan.tensors[0].dtype.is_float else _WHOLE) else text
