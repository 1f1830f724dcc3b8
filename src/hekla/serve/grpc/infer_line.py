"""ModelInfer calls that are alike but for their tensors' bytes, answered as one batch.

As `hekla.serve.oip.rest_line` does it for REST: the calls of one plan that came in one turn of the event loop are
joined, run and answered together; whatever is not as expected sends each of them the ordinary way.
"""

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
from hekla.serve.oip.turn import Turn
from hekla.serve.service import Express

# How a call takes the ordinary way after all. Never raises.
Ordinary = Callable[[UnaryCall, ScannedMessage], None]
_Request = tuple[UnaryCall, ScannedMessage, float]  # and when it was received, by time.monotonic()


class GrpcLine:
    """The calls of one plan that came in this turn of the loop."""

    def __init__(self, plan: InferPlan, express: Express, ordinary: Ordinary) -> None:
        self.express = express
        self._plan = plan
        self._tensors = _planned(plan)
        self._sizes = [tensor.stop - tensor.start for tensor in self._tensors]
        self._rows = self._tensors[0].shape[0] if self._tensors and self._tensors[0].shape else 0
        self._turn = Turn[_Request, bytes | list[Buffer]](
            express,
            plan.model,
            self._rows,
            answers=self._messages,
            respond=lambda request, message: request[0].respond(message),
            ordinary=lambda request: ordinary(request[0], request[1]),
            received_s=lambda request: request[2],
        )

    def takes(self, call: UnaryCall, scanned: ScannedMessage) -> bool:
        """Queue a call for the batch of this turn; False if it must go the ordinary way."""
        if self._plan.last_answer is None or not self._turn.most or call.deadline_s or call.head.metadata:
            return False
        if [size for _, size in scanned.spans] != self._sizes or not self.express.enter():
            return False
        self._turn.add((call, scanned, time.monotonic()))
        return True

    def _messages(self, calls: Sequence[_Request]) -> Sequence[bytes | list[Buffer]] | None:
        """Return the answers to calls that entered; None if they must go the ordinary way."""
        pieces_of: list[list[memoryview]] = [[] for _ in self._tensors]
        for _, scanned, _ in calls:
            view = memoryview(scanned.message)  # a slice of bytes would be a copy
            for pieces, (start, size) in zip(pieces_of, scanned.spans, strict=True):
                pieces.append(view[start : start + size])
        inputs, copied_bytes = join_binary(self._tensors, pieces_of)
        outputs = self.express.run(inputs, self._rows * len(calls), copied_bytes)
        answer = self._plan.last_answer
        array = self._turn.array_of(outputs, answer, len(calls), is_only=not self._plan.outputs)
        if answer is None or array is None:
            return None
        parts = _parts(array, len(calls))
        return [
            one_tensor_message(answer.head, scanned.request_id, raw)
            for (_, scanned, _), raw in zip(calls, parts, strict=True)
        ]


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
