"""`POST /v2/models/{model}/infer`: the route that most requests take."""

from hekla.base.errors import HeklaError, InputError
from hekla.serve.http.coding import encode_body
from hekla.serve.http.message import Exchange
from hekla.serve.http.router import Router
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

    def __call__(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        """Start an inference; it is answered later."""
        headers, body = exchange.headers, exchange.body
        json_bytes: int | None = None
        length = headers.get(b"inference-header-content-length")
        if length is not None:
            if not length.isdigit() or len(length) > 18:
                raise InputError("must be a whole number", where="header Inference-Header-Content-Length")
            json_bytes = int(length)
        plans = self._plans.get(parameters)
        read = plans.read(body, json_bytes) if plans is not None else None
        plan: Plan | None = None
        if read is not None:
            request, plan = read
            wanted = plan.wanted
        else:
            version = parameters[1] if len(parameters) > 1 else ""
            request, wanted = decode_infer(parameters[0], version, body, json_bytes, self._regions)
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
