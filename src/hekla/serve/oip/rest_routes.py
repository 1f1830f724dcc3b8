"""The Open Inference Protocol v2 over REST, with Triton's extensions: routes on a `Service`."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from typing import Any

import orjson

from hekla.base.errors import InputError
from hekla.serve.http.message import Exchange, Response
from hekla.serve.http.router import Router
from hekla.serve.oip.rest_infer import InferRoute
from hekla.serve.oip.rest_request import read_json
from hekla.serve.oip.settings import LOGGING, TRACE, refuse_change, refuse_device_memory
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.service import Service

_MODEL = "/v2/models/{model}"
_VERSION = "/v2/models/{model}/versions/{version}"


class RestRoutes:
    """Adds the protocol's routes to a router."""

    def __init__(self, service: Service, regions: SharedMemoryRegions) -> None:
        self._service, self._regions = service, regions
        self._tasks: set[asyncio.Task[Response]] = set()  # the loop itself holds tasks only weakly

    def add_to(self, router: Router) -> None:
        """Add every route."""
        infer = InferRoute(self._service, self._regions, router)
        for prefix in (_MODEL, _VERSION):
            router.add("POST", f"{prefix}/infer", infer)
            router.add("GET", prefix, self._document(self._service.model_metadata))
            router.add("GET", f"{prefix}/ready", self._model_ready)
            router.add("GET", f"{prefix}/config", self._document(self._service.model_config))
            router.add("GET", f"{prefix}/stats", self._document(self._service.model_statistics))
        router.add("GET", "/v2", self._document(self._service.server_metadata))
        router.add("GET", "/v2/health/live", self._live)
        router.add("GET", "/v2/health/ready", self._ready)
        router.add("GET", "/v2/models/stats", self._document(self._service.model_statistics))
        router.add("POST", "/v2/repository/index", self._index)
        router.add("POST", "/v2/repository/models/{model}/load", self._load)
        router.add("POST", "/v2/repository/models/{model}/unload", self._unload)
        trace = {**TRACE, "trace_level": [TRACE["trace_level"]]}
        for path in ("/v2/trace/setting", f"{_MODEL}/trace/setting"):
            _add_settings(router, path, "trace", trace)
        _add_settings(router, "/v2/logging", "log", LOGGING)
        self._add_shared_memory(router)

    def _add_shared_memory(self, router: Router) -> None:
        system = "/v2/systemsharedmemory"
        router.add("GET", f"{system}/status", self._regions_status)
        router.add("POST", f"{system}/unregister", self._unregister)
        router.add("GET", f"{system}/region/{{region}}/status", self._regions_status)
        router.add("POST", f"{system}/region/{{region}}/register", self._register)
        router.add("POST", f"{system}/region/{{region}}/unregister", self._unregister)
        # No device memory here: none is registered, and unregistering what is not there succeeds, as with Triton.
        cuda = "/v2/cudasharedmemory"
        router.add("GET", f"{cuda}/status", lambda exchange, _: exchange.respond(_json([])))
        router.add("GET", f"{cuda}/region/{{region}}/status", lambda exchange, _: exchange.respond(_json([])))
        router.add("POST", f"{cuda}/unregister", lambda exchange, _: exchange.respond(_EMPTY))
        router.add("POST", f"{cuda}/region/{{region}}/unregister", lambda exchange, _: exchange.respond(_EMPTY))
        router.add("POST", f"{cuda}/region/{{region}}/register", self._no_cuda)

    def _document(self, describe: Callable[..., Any]) -> Callable[[Exchange, tuple[str, ...]], None]:
        # Any: each of these takes the path's parameters and returns the JSON document its docstring names.
        return lambda exchange, parameters: exchange.respond(_json(describe(*parameters)))

    def _live(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        exchange.respond(_json({"live": self._service.is_live()}))

    def _ready(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        ready = self._service.is_ready()
        exchange.respond(_json({"ready": ready}, 200 if ready else 503))

    def _model_ready(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        ready = self._service.is_model_ready(*parameters)
        exchange.respond(_json({"name": parameters[0], "ready": ready}, 200 if ready else 503))

    # Repository

    def _index(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        ready_only = _body(exchange).get("ready", False)
        if not isinstance(ready_only, bool):
            raise InputError("must be true or false", where="$.ready")
        exchange.respond(_json(self._service.repository_index(ready_only)))

    def _load(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        self._run(exchange, self._service.load_model(parameters[0], _parameters(exchange)))

    def _unload(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        dependents = _parameters(exchange).get("unload_dependents", False)
        if not isinstance(dependents, bool):
            raise InputError("must be true or false", where="$.parameters.unload_dependents")
        self._run(exchange, self._service.unload_model(parameters[0], dependents))

    def _run(self, exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
        """Answer when the work is done. Half of it would leave a model in neither state: it is never broken off."""

        async def then_empty() -> Response:
            await work
            return _EMPTY

        task = exchange.run(then_empty())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Shared memory

    def _regions_status(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        exchange.respond(_json([asdict(region) for region in self._regions.status(*parameters)]))

    def _register(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        body = _body(exchange)
        key = body.get("key")
        if not isinstance(key, str):
            raise InputError("must be a string", where="$.key")
        numbers = []
        for name in ("offset", "byte_size"):
            value = body.get(name, 0)
            if isinstance(value, bool) or not isinstance(value, int):
                raise InputError("must be an integer", where=f"$.{name}")
            numbers.append(value)
        self._regions.register(parameters[0], key, *numbers)
        exchange.respond(_EMPTY)

    def _unregister(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        self._regions.unregister(*parameters)
        exchange.respond(_EMPTY)

    def _no_cuda(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        raise refuse_device_memory()


def _body(exchange: Exchange) -> dict[str, Any]:
    return read_json(exchange.body) if len(exchange.body) else {}


def _parameters(exchange: Exchange) -> dict[str, Any]:
    parameters = _body(exchange).get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InputError("must be an object", where="$.parameters")
    return parameters


def _add_settings(router: Router, path: str, what: str, settings: Mapping[str, object]) -> None:
    def show(exchange: Exchange, parameters: tuple[str, ...]) -> None:
        exchange.respond(_json(settings))

    def change(exchange: Exchange, parameters: tuple[str, ...]) -> None:
        if _body(exchange):
            raise refuse_change(what)
        exchange.respond(_json(settings))

    router.add("GET", path, show)
    router.add("POST", path, change)


def _json(document: object, status: int = 200) -> Response:
    return Response(status, (orjson.dumps(document),))


_EMPTY = Response(200, (b"{}",))
