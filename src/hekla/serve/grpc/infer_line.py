"""ModelInfer calls that are alike but for their tensors' bytes, answered as one batch.

As `hekla.serve.oip.rest_line` does it for REST: the calls of one plan that came in one turn of the event loop are
joined, run and answered together; whatever is not as expected sends each of them the ordinary way.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from hekla.base.dtypes import DType
from hekla.protocols.tensor import Array
from hekla.serve.grpc.call import UnaryCall
from hekla.serve.grpc.infer_plan import InferPlan
from hekla.serve.grpc.infer_request import ScannedMessage
from hekla.serve.grpc.infer_response import one_tensor_message
from hekla.serve.http2.stream import Buffer
from hekla.serve.oip.join import PlannedTensor, join_binary
from hekla.serve.oip.tensors import encode_raw
from hekla.serve.service import Express

_TURN_S = 2e-3  # so long may batches hold the event loop before it looks at its sockets again
_log = logging.getLogger(__name__)

# How a call takes the ordinary way after all. Never raises.
Ordinary = Callable[[UnaryCall, ScannedMessage], None]


class GrpcLine:
    """The calls of one plan that came in this turn of the loop."""

    def __init__(self, plan: InferPlan, express: Express, ordinary: Ordinary) -> None:
        self.express = express
        self._plan, self._ordinary = plan, ordinary
        self._tensors = _planned(plan)
        self._sizes = [tensor.stop - tensor.start for tensor in self._tensors]
        self._rows = self._tensors[0].shape[0] if self._tensors and self._tensors[0].shape else 0
        self._most = express.max_rows // self._rows if self._rows else 0  # calls of one batch
        self._calls: list[tuple[UnaryCall, ScannedMessage, float]] = []

    def takes(self, call: UnaryCall, scanned: ScannedMessage) -> bool:
        """Queue a call for the batch of this turn; False if it must go the ordinary way."""
        if self._plan.last_answer is None or not self._most or call.deadline_s or call.head.metadata:
            return False
        if [size for _, size in scanned.spans] != self._sizes or not self.express.enter():
            return False
        self._calls.append((call, scanned, time.monotonic()))
        if len(self._calls) == 1:
            asyncio.get_running_loop().call_soon(self._flush)
        return True

    def _flush(self) -> None:
        until_s = time.monotonic() + _TURN_S
        while self._calls:
            calls = self._calls[: self._most]
            del self._calls[: self._most]
            try:
                messages = self._messages(calls)
            # A boundary: nobody stays unanswered because of it.
            except Exception:  # noqa: BLE001 - logged with its trace
                _log.exception("a batch of model %s could not be answered at once", self._plan.model)
                messages = None
            if messages is None:
                self.express.leave(len(calls))
                for call, scanned, _ in calls:
                    self._ordinary(call, scanned)
            else:
                self.express.answered(self._rows * len(calls), [received_s for _, _, received_s in calls])
                for (call, _, _), answer in zip(calls, messages, strict=True):
                    _respond(call, answer)
            if self._calls and time.monotonic() > until_s:
                asyncio.get_running_loop().call_soon(self._flush)
                return

    def _messages(
        self, calls: Sequence[tuple[UnaryCall, ScannedMessage, float]]
    ) -> Sequence[bytes | list[Buffer]] | None:
        """Return the answers to calls that entered; None if they must go the ordinary way."""
        pieces_of: list[list[memoryview]] = [[] for _ in self._tensors]
        for _, scanned, _ in calls:
            view = memoryview(scanned.message)  # a slice of bytes would be a copy
            for pieces, (start, size) in zip(pieces_of, scanned.spans, strict=True):
                pieces.append(view[start : start + size])
        inputs, copied_bytes = join_binary(self._tensors, pieces_of)
        rows = self._rows * len(calls)
        outputs = self.express.run(inputs, rows, copied_bytes)
        answer = self._plan.last_answer
        if outputs is None or answer is None or answer.version != self.express.version:
            return None
        array = outputs.get(answer.name)
        if array is None or (not self._plan.outputs and len(outputs) != 1):
            return None
        if answer.shape[:1] != (self._rows,) or array.shape != (rows, *answer.shape[1:]) or array.dtype != answer.dtype:
            return None
        parts = _parts(array, len(calls))
        return [
            one_tensor_message(answer.head, scanned.request_id, raw)
            for (_, scanned, _), raw in zip(calls, parts, strict=True)
        ]


def _respond(call: UnaryCall, message: bytes | list[Buffer]) -> None:
    try:
        call.respond(message)
    # A request's boundary: the others of its batch do not suffer.
    except Exception:  # noqa: BLE001 - logged with its trace
        _log.exception("an answer could not be handed over")


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
    data = encode_raw(array)
    size = len(data) // calls
    return [data[start : start + size] for start in range(0, len(data), size)]
