"""Requests that are alike but for their numbers, read and answered as one batch.

All requests of one plan that came in one turn of the event loop are parsed by one call, run by one, written by one:

    [n n n] [n n n] [n n n]   ->  one JSON list of lists, one array (3, 3), one engine call, one JSON text, cut in three
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import orjson

from hekla.protocols.tensor import Array, Tensors
from hekla.serve.http.message import Buffer, Exchange, Response
from hekla.serve.oip.join import join_binary
from hekla.serve.oip.rest_plan import BinaryAnswer, JsonAnswer, Plan
from hekla.serve.oip.turn import Turn
from hekla.serve.service import Express

_OPEN, _CLOSE = b"[]"
_BINARY = b"application/octet-stream"
_COMPRESSED_BYTES = 1024  # from here on answers are compressed for clients that ask

# How a request, with its payload, takes the ordinary way after all. Never raises.
Ordinary = Callable[[Exchange, bytes | memoryview], None]
_Request = tuple[Exchange, bytes | memoryview]


class Line:
    """The requests of one plan that came in this turn of the loop."""

    def __init__(self, plan: Plan, express: Express, ordinary: Ordinary) -> None:
        self.express = express
        self._plan = plan
        self._rows = plan.tensors[0].shape[0] if plan.tensors[0].shape else 0
        self._turn = Turn[_Request, Response](
            express,
            plan.request.model,
            self._rows,
            answers=self._responses,
            respond=lambda request, response: request[0].respond(response),
            ordinary=lambda request: ordinary(*request),
            received_s=lambda request: request[0].received_s,
        )

    def takes(self, exchange: Exchange, payload: bytes | memoryview) -> bool:
        """Queue a request for the batch of this turn; False if it must go the ordinary way.

        The payload is the text of its numbers, or the bytes behind its JSON header.
        """
        answer = self._plan.last_answer
        if answer is None or not self._turn.most:
            return False
        if not self._plan.is_binary and not _is_one_list(payload):
            return False
        if b"accept-encoding" in exchange.headers and answer.answer_bytes >= _COMPRESSED_BYTES:
            return False
        if not self.express.enter():
            return False
        self._turn.add((exchange, payload))
        return True

    def _responses(self, requests: Sequence[_Request]) -> Sequence[Response] | None:
        """Return the responses to requests that entered; None if they must go the ordinary way."""
        payloads = [payload for _, payload in requests]
        copied_bytes = 0
        inputs: Tensors | None
        tensors = self._plan.tensors
        if not self._plan.is_binary:
            inputs = self._parsed(payloads)
        elif len(tensors) == 1:
            inputs, copied_bytes = join_binary(tensors, (payloads,))
        else:
            pieces = [[payload[tensor.start : tensor.stop] for payload in payloads] for tensor in tensors]
            inputs, copied_bytes = join_binary(tensors, pieces)
        if inputs is None:
            return None
        outputs = self.express.run(inputs, self._rows * len(requests), copied_bytes)
        answer = self._plan.last_answer
        array = self._turn.array_of(outputs, answer, len(requests), is_only=not self._plan.request.outputs)
        if answer is None or array is None:
            return None
        if isinstance(answer, BinaryAnswer):
            bodies = _binary_bodies(answer, array, len(requests))
            return [Response(200, body, _BINARY, answer.http_headers) for body in bodies]
        texts = _json_bodies(answer, array, len(requests))
        return None if texts is None else [Response(200, text) for text in texts]

    def _parsed(self, texts: Sequence[bytes | memoryview]) -> Tensors | None:
        (tensor,) = self._plan.tensors
        try:
            lists = orjson.loads(b"[" + b",".join(texts) + b"]")
            numbers: Array = self._plan.quietly(np.array, lists, tensor.dtype.numpy)
        except (ValueError, OverflowError):
            return None
        if numbers.shape != (len(texts), math.prod(tensor.shape)):
            return None
        if tensor.dtype.is_float:
            flat = numbers.reshape(-1)
            if not math.isfinite(self._plan.quietly(flat.dot, flat)):  # a number may have become infinite
                return None
        return {tensor.name: numbers.reshape(-1, *tensor.shape[1:])}


def _is_one_list(text: bytes | memoryview) -> bool:
    """Is it one flat list, whatever follows it? Else it could end in, or begin with, a part of a neighbour's."""
    assert isinstance(text, bytes)
    return text[0] == _OPEN and text[-1] == _CLOSE and text.count(b"[") == text.count(b"]") == 1


def _json_bodies(answer: JsonAnswer, array: Array, requests: int) -> Sequence[Sequence[Buffer]] | None:
    flat = array.reshape(requests, -1)
    text = orjson.dumps(flat if flat.flags.c_contiguous else flat.copy(), option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in text:  # NaN and infinity have no JSON
        return None
    prefix = answer.prefix + b"["
    return [(prefix, part, b"]}]}") for part in text[2:-2].split(b"],[")]


def _binary_bodies(answer: BinaryAnswer, array: Array, requests: int) -> Sequence[Sequence[Buffer]]:
    data = (array if array.flags.c_contiguous else np.ascontiguousarray(array)).data.cast("B")
    size = len(data) // requests
    return [(answer.header, data[start : start + size]) for start in range(0, len(data), size)]
