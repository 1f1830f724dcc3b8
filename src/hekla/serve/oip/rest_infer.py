"""`POST /v2/models/{model}/infer`: the route that most requests take."""

from dataclasses import replace

from hekla.base.errors import HeklaError, InputError
from hekla.serve.http.coding import encode_body
from hekla.serve.http.message import Exchange
from hekla.serve.http.router import Router
from hekla.serve.oip.rest_line import Line
from hekla.serve.oip.rest_plan import Plan, RestPlans
from hekla.serve.oip.rest_request import Wanted, decode_infer
from hekla.serve.oip.rest_response import encode_infer, encode_like_last
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.request import InferRequest, InferResponse
from hekla.serve.service import Service

_REMEMBERED = 1024  # models and versions whose requests' plans are kept


class InferRoute:
    """Reads requests, by plan where one fits, and writes their answers."""

    def __init__(self, service: Service, regions: SharedMemoryRegions, router: Router) -> None:
        self._service, self._regions, self._router = service, regions, router
        self._plans: dict[tuple[str, ...], RestPlans] = {}
        self._lines: dict[Plan, Line] = {}

    def __call__(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        """Start an inference; it is answered later."""
        json_bytes = _json_bytes(exchange)
        plans = self._plans.get(parameters)
        matched = plans.match(exchange.body, json_bytes) if plans is not None else None
        if matched is None:
            self._read_in_full(exchange, parameters, json_bytes)
            return
        plan, payload = matched
        line = self._lines.get(plan)
        if line is not None and line.takes(exchange, payload):
            return
        if line is None or not line.express.is_current:
            self._open_line(plan, parameters)
        request = plan.read(payload)
        if request is None:
            self._read_in_full(exchange, parameters, json_bytes)
        else:
            self._start(exchange, parameters, json_bytes, request, plan.wanted, plan)

    def _alone(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        """Start an inference that could not be answered in a batch with others."""
        try:
            self._read_in_full(exchange, parameters, _json_bytes(exchange))
        except HeklaError as error:
            self._router.fail(exchange, error)

    def _read_in_full(self, exchange: Exchange, parameters: tuple[str, ...], json_bytes: int | None) -> None:
        version = parameters[1] if len(parameters) > 1 else ""
        request, wanted = decode_infer(parameters[0], version, exchange.body, json_bytes, self._regions)
        self._start(exchange, parameters, json_bytes, request, wanted, None)

    def _start(
        self,
        exchange: Exchange,
        parameters: tuple[str, ...],
        json_bytes: int | None,
        request: InferRequest,
        wanted: Wanted,
        plan: Plan | None,
    ) -> None:
        headers, body = exchange.headers, exchange.body
        request.received_s = exchange.received_s
        trace_parent = headers.get(b"traceparent")
        if trace_parent is not None:
            request.trace_parent = trace_parent.decode("latin-1")
        request_id = headers.get(b"x-request-id")
        if request_id is not None:
            request.request_id = request_id.decode("latin-1")

        def done(answer: InferResponse | HeklaError) -> None:
            if plan is None and isinstance(answer, InferResponse):  # of a model there is: strangers' names are not kept
                self._learn(parameters, body, json_bytes, request, wanted)
            self._answer(exchange, wanted, plan, answer)

        exchange.on_disconnect = self._service.infer(request, done).cancel

    def _answer(
        self, exchange: Exchange, wanted: Wanted, plan: Plan | None, answer: InferResponse | HeklaError
    ) -> None:
        if isinstance(answer, HeklaError):
            self._router.fail(exchange, answer)
            return
        try:
            response = encode_like_last(answer, plan) if plan is not None else None
            if response is None:
                response = encode_infer(answer, wanted, self._regions)
            accepted = exchange.headers.get(b"accept-encoding")
            if accepted is not None:
                response = encode_body(response, accepted)
            if answer.trace_parent:
                traced = (*response.headers, (b"traceparent", answer.trace_parent.encode()))
                response = replace(response, headers=traced)
        except Exception as error:  # noqa: BLE001  # the request boundary
            self._router.abort(exchange, error)
            return
        exchange.respond(response)

    def _learn(
        self,
        parameters: tuple[str, ...],
        body: memoryview,
        json_bytes: int | None,
        request: InferRequest,
        wanted: Wanted,
    ) -> None:
        plans = self._plans.get(parameters)
        if plans is None:
            if len(self._plans) >= _REMEMBERED:
                self._plans.clear()
            plans = self._plans[parameters] = RestPlans()
        plans.learn(body, json_bytes, request, wanted)

    def _open_line(self, plan: Plan, parameters: tuple[str, ...]) -> None:
        """Let the requests of a plan take the short way through its model, if it has one."""
        like = plan.request
        self._lines.pop(plan, None)
        if like.priority or like.timeout_us or like.sequence is not None or plan.last_answer is None:
            return
        express = self._service.express(like.model, like.version)
        if express is not None:
            if len(self._lines) >= _REMEMBERED:
                self._lines.clear()
            self._lines[plan] = Line(plan, express, lambda exchange: self._alone(exchange, parameters))


def _json_bytes(exchange: Exchange) -> int | None:
    """Return where the JSON of a binary request ends; None for a request that is all JSON. Errors: InputError."""
    length = exchange.headers.get(b"inference-header-content-length")
    if length is None:
        return None
    if not length.isdigit() or len(length) > 18:
        raise InputError("must be a whole number", where="header Inference-Header-Content-Length")
    return int(length)
