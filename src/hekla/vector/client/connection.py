"""Requests to a server, over connections that are kept open. Any thread."""

import http.client
import math
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from hekla.base.errors import (
    CancelledError,
    ConfigError,
    ConflictError,
    DeadlineError,
    DeniedError,
    EngineError,
    HeklaError,
    InputError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
    UnknownCallerError,
    UnsupportedError,
)

_ERRORS: Mapping[int, type[HeklaError]] = {
    400: InputError,
    401: UnknownCallerError,
    403: DeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: InputError,
    499: CancelledError,
    501: UnsupportedError,
    503: UnavailableError,
    504: DeadlineError,
}
_STALE = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    result: Any  # JSON
    headers: Mapping[str, str]  # names in lower case


class Connection:
    """One server. Close it, or use it in a `with`."""

    def __init__(self, url: str, api_key: str = "", timeout_s: float = 60.0, most_idle: int = 8) -> None:
        """Errors: ConfigError for what is no http or https URL."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is no http:// or https:// address")
        self._is_tls = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._headers = {"content-type": "application/json", **({"api-key": api_key} if api_key else {})}
        self._timeout_s, self._most_idle = timeout_s, most_idle
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def ask(self, method: str, path: tuple[str, ...], body: object = None, query: str = "") -> Answer:
        """Make a request and return its result. Errors: the server's, as it raised them; UnavailableError."""
        target = self._prefix + "".join(f"/{quote(part, safe='')}" for part in path) + (f"?{query}" if query else "")
        try:
            text = None if body is None else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        except TypeError as error:
            raise InputError(f"is no JSON: {error}", where="$") from error
        try:
            status, headers, answer = self._exchange(method, target, text)
        except TimeoutError as error:
            raise DeadlineError(f"no answer within {self._timeout_s:g} s", where=self._host) from error
        except (OSError, http.client.HTTPException) as error:
            raise UnavailableError(f"cannot be asked: {error}", where=f"{self._host}:{self._port}") from error
        if status != 200:
            raise _error_of(status, headers, answer)
        return Answer(orjson.loads(answer)["result"], headers)

    def _exchange(self, method: str, target: str, body: bytes | None) -> tuple[int, Mapping[str, str], bytes]:
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        if kept is not None:
            try:
                return self._on(kept, method, target, body)
            except _STALE:
                kept.close()  # the server closed it while it was idle; every request may be made twice
        return self._on(self._open(), method, target, body)

    def _on(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            connection.request(method, target, body, self._headers)
            response = connection.getresponse()
            answer = response.read()
        except BaseException:
            connection.close()
            raise
        with self._lock:
            is_kept = len(self._idle) < self._most_idle and not response.will_close
            if is_kept:
                self._idle.append(connection)
        if not is_kept:
            connection.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, answer

    def _open(self) -> http.client.HTTPConnection:
        if self._is_tls:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _error_of(status: int, headers: Mapping[str, str], answer: bytes) -> HeklaError:
    try:
        message = str(orjson.loads(answer)["status"]["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = answer[:200].decode("utf-8", "replace") or f"status {status}"
    if status == 429:
        seconds = float(headers.get("retry-after", "1"))
        return OverloadedError(message, retry_after_s=seconds if math.isfinite(seconds) else 1.0)
    return _ERRORS.get(status, EngineError)(message)
