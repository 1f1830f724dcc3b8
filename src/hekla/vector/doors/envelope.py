"""How `qdrant-client` expects answers and errors: `{"result": ..., "status": "ok", "time": seconds}`."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from hekla.base.errors import (
    CancelledError,
    ConfigError,
    ConflictError,
    DeadlineError,
    DeniedError,
    HeklaError,
    InputError,
    NotFoundError,
    OverloadedError,
    TooLargeError,
    UnavailableError,
    UnknownCallerError,
    UnsupportedError,
)
from hekla.protocols.api import ApiRequest, ApiResponse
from hekla.vector.doors.json_fields import Json
from hekla.vector.doors.point_json import dumps
from hekla.vector.errors import LockedError


@dataclass(frozen=True, slots=True)
class Told:
    """A result with headers, which say what `qdrant-client` has no field for."""

    result: Json
    headers: tuple[tuple[str, str], ...]


Work = Callable[[ApiRequest], Json]
# The first that fits counts.
_STATUSES: tuple[tuple[type[HeklaError], int], ...] = (
    (TooLargeError, 413),
    (InputError, 400),
    (ConfigError, 400),  # a schema that a request asked for
    (UnknownCallerError, 401),
    (DeniedError, 403),
    (NotFoundError, 404),
    (LockedError, 503),
    (ConflictError, 409),
    (OverloadedError, 429),
    (UnavailableError, 503),
    (DeadlineError, 504),
    (CancelledError, 499),
    (UnsupportedError, 501),
)


def answering(work: Work) -> Callable[[ApiRequest], ApiResponse]:
    """Return a route's function that wraps what `work` returns."""

    def handle(request: ApiRequest) -> ApiResponse:
        started = time.perf_counter()
        result = work(request)
        headers: tuple[tuple[str, str], ...] = ()
        if isinstance(result, Told):
            result, headers = result.result, result.headers
        body = dumps({"result": result, "status": "ok", "time": time.perf_counter() - started})
        return ApiResponse(body, headers=headers)

    return handle


def tell(error: Exception) -> ApiResponse:
    """Return an error as `qdrant-client` expects it."""
    status, text = 500, "internal fault"
    if isinstance(error, HeklaError):
        status = next((code for kind, code in _STATUSES if isinstance(error, kind)), 500)
        text = str(error)
    body = dumps({"status": {"error": text.encode("utf-8", "replace").decode()}, "result": None, "time": 0.0})
    return ApiResponse(body, status)
