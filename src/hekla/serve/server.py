"""The server: one event loop, its sockets, and the order in which it starts and stops."""

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import uvloop

from hekla.base.errors import ConfigError, HeklaError
from hekla.protocols.api import ApiLoader
from hekla.serve.apis.config import ApiConfig
from hekla.serve.apis.mounting import Mounts
from hekla.serve.apis.statistics import ApiCollector
from hekla.serve.grpc.door import GrpcDoor
from hekla.serve.grpc.limits import GrpcLimits
from hekla.serve.grpc.server import grpc_protocol_factory
from hekla.serve.http.connection import HttpConnection
from hekla.serve.http.limits import HttpLimits
from hekla.serve.http.message import Exchange, Response
from hekla.serve.http.open_connections import OpenConnections
from hekla.serve.http.router import Router
from hekla.serve.loading import Parts
from hekla.serve.model_host import ModelHost
from hekla.serve.observe.metrics import CONTENT_TYPE, Metrics
from hekla.serve.observe.tracing import make_tracer
from hekla.serve.oip.rest_response import tell_error
from hekla.serve.oip.rest_routes import RestRoutes
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.openai.routes import OpenAIRoutes
from hekla.serve.openai.text_routes import TextRoutes
from hekla.serve.openapi.document import PATH as OPENAPI_PATH
from hekla.serve.openapi.document import openapi_document
from hekla.serve.served_model import OnAnswered
from hekla.serve.text.metrics import TextCollector

_BACKLOG = 4096
_LINGER_S = 0.1  # for requests that were on their way when the server began to stop
_TEXT_SHARE = 0.8  # of the time a stopping server has, texts may go on
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Page:
    """A static document of the web console."""

    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Everything an operator decides about a server. Port 0: any free one."""

    repositories: tuple[Path, ...]
    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int | None = 8001  # None: no gRPC
    name: str = "hekla"
    version: str = ""
    watch: bool = False
    max_body_bytes: int = 64 * 1024 * 1024
    read_timeout_s: float = 30.0  # from the first byte of an HTTP request to its last
    drain_s: float = 30.0  # how long a stopping server waits for what it accepted
    otlp_endpoint: str = ""  # of an OpenTelemetry collector, "http://127.0.0.1:4318"; "": no traces
    access_log: bool = False
    apis: Mapping[str, ApiConfig] = field(default_factory=dict)  # by entry point of `hekla.apis`


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a server listens."""

    http: str  # "http://127.0.0.1:8000"
    grpc: str  # "127.0.0.1:8001", "" without gRPC


def run(
    config: ServerConfig,
    parts: Parts,
    pages: Mapping[str, Page],
    on_ready: Callable[[Addresses], None],
    apis: Mapping[str, ApiLoader] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then answer what was accepted and return.

    `pages` maps paths to documents of the console; `on_ready` is called once every model was tried.
    Errors: ConfigError for an address that cannot be had or a repository that is not there.
    """
    uvloop.run(_Server(config, parts, pages, apis or {}).serve(on_ready))


class _Server:
    def __init__(
        self, config: ServerConfig, parts: Parts, pages: Mapping[str, Page], apis: Mapping[str, ApiLoader]
    ) -> None:
        self._config, self._parts, self._pages, self._apis = config, parts, pages, apis
        self._connections = OpenConnections()
        self._regions = SharedMemoryRegions()

    async def serve(self, on_ready: Callable[[Addresses], None]) -> None:
        """Start, wait for a signal, stop."""
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        config = self._config
        tracer = make_tracer(config.otlp_endpoint, config.version) if config.otlp_endpoint else None
        on_answered: OnAnswered | None = tracer.record if tracer is not None else None
        on_text = tracer.record_text if tracer is not None else None
        host = ModelHost(config.repositories, self._parts, on_answered, config.name, config.version, on_text)
        mounts = Mounts(config.apis, self._apis, host, self._parts.threads)
        router = self._router(host, mounts)
        limits = HttpLimits(body_bytes=config.max_body_bytes, read_s=config.read_timeout_s)
        on_answer = _log_access if config.access_log else None
        http = await _listen(
            lambda: HttpConnection(router, limits, self._connections, on_answer), config.host, config.http_port
        )
        door, grpc = None, None
        if config.grpc_port is not None:
            grpc_limits = GrpcLimits(max_message_bytes=config.max_body_bytes)
            door = grpc_protocol_factory(host, self._regions, grpc_limits, more=mounts.methods())
            grpc = await _listen(door, config.host, config.grpc_port)
        background = [loop.create_task(self._check_times())]
        await host.start()
        if config.watch:
            background.append(loop.create_task(_watch(host)))
        _quiet_collector()
        addresses = Addresses(f"http://{_address(http)}", _address(grpc) if grpc is not None else "")
        on_ready(addresses)
        await stopping.wait()
        _log.info("stopping: answering what was accepted")
        for task in background:
            task.cancel()
        http.close()
        if grpc is not None:
            grpc.close()
        await self._drain(host, door)
        await mounts.close()
        if tracer is not None:
            await asyncio.to_thread(tracer.close)

    def _router(self, host: ModelHost, mounts: Mounts) -> Router:
        router = Router(tell_error)
        RestRoutes(host, self._regions).add_to(router)
        OpenAIRoutes(host, int(time.time())).add_to(router)
        TextRoutes(host).add_to(router)
        collectors = (TextCollector(host.text_models), ApiCollector(lambda: mounts.apis))
        metrics = Metrics(host.repository.served, lambda: len(self._connections), collectors)
        router.add(
            "GET", "/metrics", lambda exchange, _: exchange.respond(Response(200, (metrics.page(),), CONTENT_TYPE))
        )
        description = Response(200, (orjson.dumps(mounts.described(openapi_document(self._config.version))),))
        router.add("GET", OPENAPI_PATH, lambda exchange, _: exchange.respond(description))
        for path, page in self._pages.items():
            router.add("GET", path, _serve_page(page))
        mounts.add_to(router, {path: _page_response(page) for path, page in self._pages.items()})
        return router

    async def _check_times(self) -> None:
        """Close connections whose peers take too long."""
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            for connection in self._connections:
                connection.check_time(now)

    async def _drain(self, host: ModelHost, door: GrpcDoor | None) -> None:
        """Answer every request that was accepted, the ones still in the sockets' buffers too."""
        for connection in self._connections:
            connection.announce_end()
        try:
            async with asyncio.timeout(self._config.drain_s):
                # Texts that are still being written then end as they are, with a finish reason, not cut off.
                loop = asyncio.get_running_loop()
                ending = loop.call_later(_TEXT_SHARE * self._config.drain_s, host.end_texts)
                await asyncio.sleep(_LINGER_S)
                for connection in self._connections:
                    connection.finish()
                await self._connections.wait_empty()
                if door is not None:
                    await door.drain()
                await host.stop()
                ending.cancel()
        except TimeoutError:
            _log.warning(
                "not all was answered within %.0f s: %d connections are cut",
                self._config.drain_s,
                len(self._connections),
            )
        self._regions.unregister()


def _quiet_collector() -> None:
    """Keep the cycle collector from walking over what a server allocates for one batch of requests.

    Nothing here makes cycles per request, and reference counts free the rest. At Python's own threshold (700) the
    collector took 4 of the 19 us of Python that a small request costs at 64 clients. It does not collect first: that
    took a twelfth of a start, and of 82,000 objects found 34.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _listen(make_connection: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(make_connection, host, port, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            cure="choose another port, or stop what listens there",
        ) from None


def _address(server: asyncio.Server) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _watch(host: ModelHost) -> None:
    """Pick up changes on disk once a second."""
    while True:
        await asyncio.sleep(1.0)
        try:
            changed = await host.repository.reload_changed()
        except HeklaError as error:
            _log.error("the repository could not be read: %s", error)
            continue
        if changed:
            _log.info("changed on disk: %s", ", ".join(changed))


def _page_response(page: Page) -> Response:
    return Response(200, (page.body,), page.content_type.encode(), ((b"cache-control", b"no-cache"),))


def _serve_page(page: Page) -> Callable[[Exchange, tuple[str, ...]], None]:
    response = _page_response(page)
    return lambda exchange, _: exchange.respond(response)


def _log_access(exchange: Exchange, status: int) -> None:
    _log.info(
        "%s %s %d",
        exchange.method.decode("latin-1"),
        exchange.path.decode("latin-1"),
        status,
        extra={
            "request_id": exchange.headers.get(b"x-request-id", b"").decode("latin-1"),
            "status": status,
            "duration_ms": round((time.monotonic() - exchange.received_s) * 1e3, 3),
        },
    )
