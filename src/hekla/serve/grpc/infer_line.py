"""ModelInfer calls that are alike but for their tensors' bytes, answered as one batch.

As `hekla.serve.oip.rest_line` does it for REST: the calls of one plan that came in one turn of the event loop are
joined, run and answered together; whatever is not as expected sends each of them the ordinary way.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import numpy as np

from hekla.base.dtypes import DType
from hekla.protocols.tensor import Array
from hekla.serve.grpc.call import UnaryCall
from hekla.serve.grpc.infer_plan import InferPlan
from hekla.serve.grpc.infer_request import ScannedMessage
from hekla.serve.grpc.infer_response import one_tensor_message
from hekla.serve.grpc.message_reader import Message
from hekla.serve.oip.join import PlannedTensor, join_binary
from hekla.serve.service import Express

_TURN_S = 2e-3  # so long may batches hold the event loop before it looks at its sockets again
_log = logging.getLogger(__name__)

# How a call takes the ordinary way after all.
Ordinary = Callable[[UnaryCall, Message], None]


class GrpcLine:
    """The calls of one plan that came in this turn of the loop."""

    def __init__(self, plan: InferPlan, express: Express, ordinary: Ordinary) -> None:
        self.express = express
        self._plan, self._ordinary = plan, ordinary
        self._tensors = _planned(plan)
        self._sizes = [tensor.stop - tensor.start for tensor in self._tensors]
        self._rows = self._tensors[0].shape[0] if self._tensors and self._tensors[0].shape else 0
        self._most = express.max_rows // self._rows if self._rows else 0  # calls of one batch
        self._calls: list[tuple[UnaryCall, Message, str, float]] = []
        self._payloads: list[bytes | memoryview] = []

    def takes(self, call: UnaryCall, message: Message, scanned: ScannedMessage) -> bool:
        """Queue a call for the batch of this turn; False if it must go the ordinary way."""
        if self._plan.last_answer is None or not self._most or call.deadline_s or call.head.metadata:
            return False
        spans = scanned.spans
        if [size for _, size in spans] != self._sizes or not self.express.enter():
            return False
        pieces = [message[start : start + size] for start, size in spans]
        self._calls.append((call, message, scanned.request_id, time.monotonic()))
        self._payloads.append(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if len(self._calls) == 1:
            asyncio.get_running_loop().call_soon(self._flush)
        return True

    def _flush(self) -> None:
        until_s = time.monotonic() + _TURN_S
        while self._calls:
            calls, payloads = self._calls[: self._most], self._payloads[: self._most]
            del self._calls[: self._most], self._payloads[: self._most]
            try:
                answered = self._answers(calls, payloads)
            # A boundary: nobody stays unanswered because of it.
            except Exception:  # noqa: BLE001 - logged with its trace
                _log.exception("a batch of model %s could not be answered at once", self._plan.model)
                answered = False
            if not answered:
                for call, message, _, _ in calls:
                    self._ordinary(call, message)
            if self._calls and time.monotonic() > until_s:
                asyncio.get_running_loop().call_soon(self._flush)
                return

    def _answers(
        self, calls: Sequence[tuple[UnaryCall, Message, str, float]], payloads: Sequence[bytes | memoryview]
    ) -> bool:
        """Answer calls that entered; False if they have left for the ordinary way."""
        inputs, copied_bytes = join_binary(self._tensors, payloads)
        rows = self._rows * len(calls)
        outputs = self.express.run(inputs, rows, [received_s for _, _, _, received_s in calls], copied_bytes)
        answer = self._plan.last_answer
        if outputs is None or answer is None or (not self._plan.outputs and len(outputs) != 1):
            return False
        array = outputs.get(answer.name)
        if array is None or array.dtype != answer.dtype or array.shape != (rows, *answer.shape[1:]):
            return False
        for (call, _, request_id, _), raw in zip(calls, _parts(array, len(calls)), strict=True):
            call.respond(one_tensor_message(answer.head, request_id, raw))
        return True


def has_line(plan: InferPlan) -> bool:
    """True for a plan whose calls are nothing but raw tensors of fixed size."""
    plain = not (plan.typed or plan.shared or plan.shared_outputs or plan.priority or plan.timeout_us)
    return plain and plan.sequence is None and bool(_planned(plan))


def _planned(plan: InferPlan) -> tuple[PlannedTensor, ...]:
    tensors: list[PlannedTensor] = []
    start = 0
    for name, layout in plan.raws:
        if layout.dtype in (DType.BYTES, DType.BOOL) or not layout.size_bytes:
            return ()
        tensors.append(PlannedTensor(name, layout.dtype, layout.shape, start, start + layout.size_bytes))
        start += layout.size_bytes
    return tuple(tensors)


def _parts(array: Array, calls: int) -> Sequence[memoryview]:
    data = (array if array.flags.c_contiguous else np.ascontiguousarray(array)).data.cast("B")
    size = len(data) // calls
    return [data[start : start + size] for start in range(0, len(data), size)]
