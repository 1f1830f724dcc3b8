"""One interface on the server's doors."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from hekla.base.errors import HeklaError, InputError
from hekla.protocols.api import Api, ApiRequest, ApiResponse, Caller, Route, Rpc
from hekla.serve.apis.config import ApiConfig
from hekla.serve.apis.keys import Keys
from hekla.serve.apis.statistics import ApiStatistics
from hekla.serve.apis.workers import Workers
from hekla.serve.grpc.call import UnaryCall
from hekla.serve.grpc.message_reader import Message
from hekla.serve.grpc.method import Method, UnaryHandler
from hekla.serve.http.coding import encode_body
from hekla.serve.http.message import Exchange, Response
from hekla.serve.http.message import Route as HttpRoute
from hekla.serve.http.router import Router


class MountedApi:
    """Routes and remote procedures with keys, limits, deadlines and metrics around them. Lives on one event loop."""

    def __init__(self, name: str, api: Api, config: ApiConfig) -> None:
        """Errors: ConfigError for a key."""
        self.name, self.api = name, api
        self.statistics = ApiStatistics()
        self._keys = Keys(config.keys, f"[apis.{name}]")
        self._timeout_s = config.timeout_s
        self._workers = Workers(name, config.threads, config.queue)
        self._streams: set[asyncio.Task[None]] = set()  # the loop itself holds tasks only weakly

    @property
    def waiting(self) -> int:
        """How many requests wait or are worked on."""
        return self._workers.inside

    def add_to(self, router: Router, pages: Mapping[str, Response]) -> None:
        """Add every route, and the interface's form of errors under their first segments.

        pages: documents that browsers get where a route has the same path.
        """
        self._router = router
        for segment in sorted({route.pattern.split("/")[1] for route in self.api.routes} - {""}):
            router.family(f"/{segment}", lambda error: _response(self.api.tell(error)))
        for route in self.api.routes:
            handle = self._route(route)
            page = pages.get(route.pattern)
            router.add(route.method, route.pattern, handle if page is None else _page_or(page, handle))

    def methods(self) -> dict[bytes, Method]:
        """Return the remote procedures by path."""
        return {rpc.name.encode(): Method(unary=self._rpc(rpc)) for rpc in self.api.rpcs}

    def close(self) -> None:
        """Finish what was accepted, then close the interface. Waits; not for the loop."""
        self._workers.close()
        self.api.close()

    # ---- HTTP

    def _route(self, route: Route) -> HttpRoute:
        def handle(exchange: Exchange, parameters: tuple[str, ...]) -> None:
            query = dict(parse_qsl(exchange.query.decode("latin-1"), keep_blank_values=True))
            deadline_s = exchange.received_s + self._allowed_s(query)
            body, accepted = bytes(exchange.body), exchange.headers.get(b"accept-encoding", b"")
            media_type = exchange.headers.get(b"content-type", b"").decode("latin-1")

            def done(answer: "tuple[ApiResponse, Response] | HeklaError") -> None:
                status = self._answer(exchange, answer)
                collection = _label(route, parameters, status)
                self.statistics.answered(route.method, route.pattern, collection, status, exchange.received_s)

            try:
                caller = Caller() if route.is_public else self._caller(exchange, route)
                request = ApiRequest(parameters, query, body, media_type, caller, deadline_s)
                task = self._workers.submit(lambda: _worked(route, request, accepted), deadline_s, done)
            except HeklaError as error:
                done(error)
                return
            exchange.on_disconnect = task.cancel

        return handle

    def _caller(self, exchange: Exchange, route: Route) -> Caller:
        names = (b"api-key", b"authorization")
        headers = {name.decode(): exchange.headers.get(name, b"").decode("latin-1") for name in names}
        return self._keys.caller(headers, is_write=route.is_write)

    def _allowed_s(self, query: Mapping[str, str]) -> float:
        """Return how long a request may take: what its `timeout` says, in seconds, up to the server's own."""
        try:
            asked = float(query.get("timeout", ""))
        except ValueError:
            return self._timeout_s
        return min(asked, self._timeout_s) if asked > 0 else self._timeout_s

    def _answer(self, exchange: Exchange, answer: "tuple[ApiResponse, Response] | HeklaError") -> int:
        if isinstance(answer, HeklaError):
            response = self._router.describe(exchange.path, answer)
            told = self.api.tell(answer)
            if exchange.path == b"/":  # of no family
                response = _response(told)
            exchange.respond(response)
            return response.status
        whole, response = answer
        if whole.stream is None:
            exchange.respond(response)
        else:
            task = asyncio.get_running_loop().create_task(self._send(exchange, response, whole.stream))
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)
        return response.status

    async def _send(self, exchange: Exchange, response: Response, pieces: Sequence[bytes]) -> None:
        """Send a long body piece by piece, no faster than the client reads."""
        has_room, is_gone = asyncio.Event(), False
        stream = exchange.stream(response)

        def gone() -> None:
            nonlocal is_gone
            is_gone = True
            has_room.set()

        exchange.on_disconnect, exchange.on_room = gone, has_room.set
        try:
            for i in range(len(pieces)):
                piece = await self._workers.run(lambda at=i: pieces[at])  # type: ignore[misc]  # mypy: no lambda defaults
                if piece:
                    stream.write(piece)
                while stream.is_choked and not is_gone:
                    has_room.clear()
                    await has_room.wait()
                if is_gone:
                    return
        except Exception:
            stream.cut()
            raise
        stream.end()

    # ---- gRPC

    def _rpc(self, rpc: Rpc) -> UnaryHandler:
        def handle(call: UnaryCall, message: Message) -> None:
            started_s = time.monotonic()
            caller = self._keys.caller(call.head.metadata, is_write=rpc.is_write)
            body = bytes(message)

            def done(answer: bytes | HeklaError) -> None:
                if isinstance(answer, HeklaError):
                    call.fail_with(answer)
                else:
                    call.respond(answer)
                status = 200 if isinstance(answer, bytes) else self.api.tell(answer).status
                self.statistics.answered("gRPC", rpc.name, "", status, started_s)

            deadline_s = started_s + self._timeout_s
            if call.deadline_s:
                deadline_s = min(deadline_s, call.deadline_s)
            task = self._workers.submit(lambda: rpc.handle(body, caller, deadline_s), deadline_s, done)
            call.on_cancel(task.cancel)

        return handle


def _worked(route: Route, request: ApiRequest, accepted: bytes) -> tuple[ApiResponse, Response]:
    """Answer a request and code its body: on a thread."""
    try:
        answer = route.handle(request)
    except RecursionError:
        raise InputError("is nested too deep", where="request body") from None
    response = _response(answer)
    return answer, response if answer.stream is not None else encode_body(response, accepted)


def _response(answer: ApiResponse) -> Response:
    headers = tuple((name.encode(), value.encode()) for name, value in answer.headers)
    body = () if answer.stream is not None else (answer.body,)
    return Response(answer.status, body, answer.media_type.encode(), headers)


def _label(route: Route, parameters: Sequence[str], status: int) -> str:
    """Return the collection a request is counted for; "" where it may not exist, so that labels stay few."""
    is_real = route.collection_parameter is not None and (200 <= status < 300 or status >= 429)
    return parameters[route.collection_parameter or 0] if is_real else ""


def _page_or(page: Response, handle: HttpRoute) -> HttpRoute:
    def choose(exchange: Exchange, parameters: tuple[str, ...]) -> None:
        if b"text/html" in exchange.headers.get(b"accept", b""):
            exchange.respond(page)
        else:
            handle(exchange, parameters)

    return choose
