"""Requests that are alike but for their numbers, read and answered as one batch.

All requests of one plan that came in one turn of the event loop are parsed by one call, run by one, written by one:

    [n n n] [n n n] [n n n]   ->  one JSON list of lists, one array (3, 3), one engine call, one JSON text, cut in three

Nothing is decided here for a request that is not as expected: it, and all that shared its batch, go the ordinary way,
one by one, and get the answer or the error that they would have got alone.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import orjson

from hekla.protocols.tensor import Array, Tensors
from hekla.serve.http.message import Buffer, Exchange, Response
from hekla.serve.oip.join import join_binary
from hekla.serve.oip.rest_plan import BinaryAnswer, JsonAnswer, Plan
from hekla.serve.service import Express

_log = logging.getLogger(__name__)
_OPEN, _CLOSE = b"[]"
_BINARY = b"application/octet-stream"
_COMPRESSED_BYTES = 1024  # from here on answers are compressed for clients that ask
_TURN_S = 2e-3  # so long may batches hold the event loop before it looks at its sockets again

# How a request takes the ordinary way after all.
Ordinary = Callable[[Exchange], None]


class Line:
    """The requests of one plan that came in this turn of the loop."""

    def __init__(self, plan: Plan, express: Express, ordinary: Ordinary) -> None:
        self.express = express
        self._plan, self._ordinary = plan, ordinary
        self._rows = plan.tensors[0].shape[0] if plan.tensors[0].shape else 0
        self._most = express.max_rows // self._rows if self._rows else 0  # requests of one batch
        self._exchanges: list[Exchange] = []
        self._payloads: list[bytes | memoryview] = []

    def takes(self, exchange: Exchange, payload: bytes | memoryview) -> bool:
        """Queue a request for the batch of this turn; False if it must go the ordinary way.

        The payload is the text of its numbers, or the bytes behind its JSON header.
        """
        answer = self._plan.last_answer
        if answer is None or not self._most:
            return False
        if not self._plan.is_binary and not _is_one_list(payload):
            return False
        if not self.express.enter():
            return False
        if b"accept-encoding" in exchange.headers and answer.answer_bytes >= _COMPRESSED_BYTES:
            self.express.leave(1)
            return False
        self._exchanges.append(exchange)
        self._payloads.append(payload)
        if len(self._exchanges) == 1:
            asyncio.get_running_loop().call_soon(self._flush)
        return True

    def _flush(self) -> None:
        until_s = time.monotonic() + _TURN_S
        while self._exchanges:
            exchanges, payloads = self._exchanges[: self._most], self._payloads[: self._most]
            del self._exchanges[: self._most], self._payloads[: self._most]
            try:
                answered = self._answers(exchanges, payloads)
            # A boundary: nobody stays unanswered because of it.
            except Exception:  # noqa: BLE001 - logged with its trace
                _log.exception("a batch of model %s could not be answered at once", self._plan.request.model)
                answered = False
            if not answered:
                for exchange in exchanges:
                    if not exchange.answered:
                        self._ordinary(exchange)
            if self._exchanges and time.monotonic() > until_s:
                asyncio.get_running_loop().call_soon(self._flush)
                return

    def _answers(self, exchanges: Sequence[Exchange], payloads: Sequence[bytes | memoryview]) -> bool:
        """Answer requests that entered; False if they have left for the ordinary way."""
        copied_bytes = 0
        inputs: Tensors | None
        if self._plan.is_binary:
            inputs, copied_bytes = join_binary(self._plan.tensors, payloads)
        else:
            inputs = self._parsed(payloads)
        if inputs is None:
            self.express.leave(len(exchanges))
            return False
        rows = self._rows * len(exchanges)
        outputs = self.express.run(inputs, rows, [exchange.received_s for exchange in exchanges], copied_bytes)
        if outputs is None:
            return False
        answer = self._plan.last_answer
        array = outputs.get(answer.name) if answer is not None else None
        if answer is None or array is None or (not self._plan.request.outputs and len(outputs) != 1):
            return False
        if array.dtype != answer.dtype or array.shape != (rows, *answer.shape[1:]):
            return False
        bodies = (
            _binary_bodies(answer, array, len(exchanges))
            if isinstance(answer, BinaryAnswer)
            else (_json_bodies(answer, array, len(exchanges)))
        )
        if bodies is None:
            return False
        if isinstance(answer, BinaryAnswer):
            for exchange, body in zip(exchanges, bodies, strict=True):
                exchange.respond(Response(200, body, _BINARY, answer.http_headers))
        else:
            for exchange, body in zip(exchanges, bodies, strict=True):
                exchange.respond(Response(200, body))
        return True

    def _parsed(self, texts: Sequence[bytes | memoryview]) -> Tensors | None:
        (tensor,) = self._plan.tensors
        try:
            numbers = np.array(orjson.loads(b"[" + b",".join(texts) + b"]"), tensor.dtype.numpy)
        except (ValueError, OverflowError):
            return None
        if numbers.shape != (len(texts), math.prod(tensor.shape)):
            return None
        if tensor.dtype.is_float:
            flat = numbers.reshape(-1)
            if not math.isfinite(flat.dot(flat)):  # a number may have become infinite
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
