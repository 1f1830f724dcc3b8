"""ModelInfer and ModelStreamInfer: calls to the service and its answers back."""

import logging
from collections.abc import Callable, Mapping
from time import monotonic

from hekla.base.errors import HeklaError
from hekla.serve.grpc import open_inference_pb2 as pb
from hekla.serve.grpc.call import UnaryCall
from hekla.serve.grpc.codes import Code
from hekla.serve.grpc.infer_line import GrpcLine, has_line
from hekla.serve.grpc.infer_plan import InferPlan
from hekla.serve.grpc.infer_request import InferRequestDecoder, ScannedMessage
from hekla.serve.grpc.infer_response import InferResponseEncoder
from hekla.serve.grpc.message_reader import Message
from hekla.serve.grpc.streaming_call import StreamingCall
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.request import InferRequest, InferResponse
from hekla.serve.service import Service, Ticket

_log = logging.getLogger(__name__)
_EMPTY_FINAL = "triton_enable_empty_final_response"
_FINAL = "triton_final_response"
_MOST_UNSENT_BYTES = 1 << 20  # of a call whose caller does not read the pieces that come
_REMEMBERED = 256  # plans whose calls take the short way


class InferenceCalls:
    """The two methods that infer."""

    def __init__(self, service: Service, regions: SharedMemoryRegions) -> None:
        self._service, self._infer = service, service.infer
        self._decoder = InferRequestDecoder(regions)
        self._encoder = InferResponseEncoder(regions)
        self._lines: dict[int, tuple[InferPlan, GrpcLine]] = {}  # by the plan's id(), which the plan here keeps

    def unary(self, call: UnaryCall, message: Message) -> None:
        """Answer one ModelInferRequest."""
        scanned = self._decoder.scan(message)
        line = self._lines.get(id(scanned.plan))
        if line is None or not line[1].takes(call, scanned):
            self._start(call, scanned)

    def _alone(self, call: UnaryCall, scanned: ScannedMessage) -> None:
        """Answer a call that could not be answered in a batch with others."""
        try:
            self._start(call, scanned)
        except HeklaError as error:
            call.fail_with(error)
        except Exception:  # noqa: BLE001  # the boundary of a request
            _log.exception("a call could not be started")
            call.fail(Code.INTERNAL, "internal error")

    def _start(self, call: UnaryCall, scanned: ScannedMessage) -> None:
        plan = scanned.plan
        request = self._decoder.read(scanned)
        _complete(request, call.head.metadata, call.deadline_s)

        def done(answer: InferResponse | HeklaError) -> None:
            if isinstance(answer, HeklaError):
                call.fail_with(answer)
                return
            try:
                self._encoder.note(answer, plan)
                call.respond(self._encoder.encode(answer, plan.shared_outputs))
            except HeklaError as error:
                call.fail_with(error)
            except Exception:  # noqa: BLE001  # the boundary of a request
                _log.exception("an answer could not be encoded")
                call.fail(Code.INTERNAL, "the answer could not be encoded")
            else:
                self._open_line(plan)

        ticket = self._infer(request, done)
        call.on_cancel(ticket.cancel)

    def _open_line(self, plan: InferPlan) -> None:
        """Let the calls of a plan that was answered take the short way through its model, if it has one."""
        line = self._lines.get(id(plan))
        if plan.last_answer is None or (line is not None and line[1].express.is_current) or not has_line(plan):
            return
        self._lines.pop(id(plan), None)
        express = self._service.express(plan.model, plan.version)
        if express is not None and express.has_checked(plan.signature):
            if len(self._lines) >= _REMEMBERED:
                self._lines.clear()
            self._lines[id(plan)] = plan, GrpcLine(plan, express, self._alone)

    def streaming(self, call: StreamingCall) -> None:
        """Answer ModelInferRequests as they are done; a failure of one does not end the others."""
        _InferStream(call, self._infer, self._decoder.decode, self._encoder)


class _InferStream:
    """One ModelStreamInfer call. Answers come in the order in which they are ready."""

    def __init__(
        self,
        call: StreamingCall,
        infer: Callable[[InferRequest, Callable[[InferResponse | HeklaError], None]], Ticket],
        decode: Callable[[Message], tuple[InferRequest, InferPlan]],
        encoder: InferResponseEncoder,
    ) -> None:
        self._call, self._infer, self._decode, self._encoder = call, infer, decode, encoder
        self._tickets: dict[int, Ticket] = {}
        self._number = 0
        self._has_ended = False
        call.on_message = self._on_message
        call.on_end = self._on_end
        call.on_cancel(self._cancel)

    def _on_message(self, message: Message) -> None:
        try:
            request, plan = self._decode(message)
        except HeklaError as error:
            self._send_error(error, "")
            return
        wants_empty_final = request.parameters.get(_EMPTY_FINAL) is True
        _complete(request, self._call.head.metadata, self._call.deadline_s)
        request.takes_many = True
        self._number += 1
        number = self._number

        def done(answer: InferResponse | HeklaError) -> None:
            if isinstance(answer, HeklaError):
                self._send_error(answer, request.id)
                final = True
            else:
                final = answer.final
                if answer.outputs or not final or wants_empty_final:
                    self._send(answer, plan, request.id)
            if final:
                self._tickets.pop(number, None)
                self._finish_if_done()

        self._tickets[number] = self._infer(request, done)

    def _send(self, answer: InferResponse, plan: InferPlan, request_id: str) -> None:
        answer.parameters = {**answer.parameters, _FINAL: answer.final}
        if not answer.final and self._call.unsent_bytes > _MOST_UNSENT_BYTES:
            message = f"over {_MOST_UNSENT_BYTES} bytes of answers are not read"
            self._call.finish(Code.RESOURCE_EXHAUSTED, message)
            self._cancel()
            return
        try:
            self._call.send(self._encoder.encode_in_stream(answer, plan.shared_outputs))
        except HeklaError as error:
            self._send_error(error, request_id)
        except Exception:  # noqa: BLE001  # the boundary of a request
            _log.exception("an answer could not be encoded")
            self._call.finish(Code.INTERNAL, "the answer could not be encoded")
            self._cancel()

    def _send_error(self, error: HeklaError, request_id: str) -> None:
        message = pb.ModelStreamInferResponse(error_message=str(error))
        if request_id:
            message.infer_response.id = request_id
        self._call.send(message.SerializeToString())

    def _on_end(self) -> None:
        self._has_ended = True
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        if self._has_ended and not self._tickets:
            self._call.finish()

    def _cancel(self) -> None:
        tickets, self._tickets = self._tickets, {}
        for ticket in tickets.values():
            ticket.cancel()


def _complete(request: InferRequest, metadata: Mapping[str, str], deadline_s: float) -> None:
    """Add what the call's headers say to its request."""
    now_s = monotonic()
    request.received_s = now_s
    if deadline_s:
        left_us = max(1, int((deadline_s - now_s) * 1e6))
        request.timeout_us = min(request.timeout_us or left_us, left_us)
    if metadata:
        request.trace_parent = metadata.get("traceparent", "")
        request.request_id = metadata.get("x-request-id", "")
