"""From method and path to a route, and from what a route raises to an answer."""

import difflib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from hekla.base.errors import EngineError, HeklaError, InputError, NotFoundError, OverloadedError, quoted
from hekla.serve.http.message import Exchange, Response, Route

# How a family of routes tells an error.
TellError = Callable[[HeklaError], Response]

_REMEMBERED = 4096  # distinct paths whose route is kept ready,
_REMEMBERED_BYTES = 256  # if they are not longer
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Node:
    """One segment of the paths: its children by name, a child for {placeholders}, the routes that end here."""

    children: dict[str, "_Node"] = field(default_factory=dict)
    placeholder: "_Node | None" = None
    routes: dict[bytes, Route] = field(default_factory=dict)


class Router:
    """Routes by path. `dispatch` never raises: every fault becomes an answer in the family's form."""

    def __init__(self, tell_error: TellError) -> None:
        self._root = _Node()
        self._families: list[tuple[bytes, TellError]] = []
        self._tell_error = tell_error
        self._ready: dict[tuple[bytes, bytes], tuple[Route, tuple[str, ...]]] = {}
        self.paths: list[tuple[str, str]] = []  # (method, path) of every route, as they were added

    def add(self, method: str, path: str, route: Route) -> None:
        """Add a route; `{name}` in the path stands for one segment."""
        node = self._root
        for segment in path.strip("/").split("/"):
            if segment.startswith("{"):
                node.placeholder = node.placeholder or _Node()
                node = node.placeholder
            else:
                node = node.children.setdefault(segment, _Node())
        node.routes[method.encode()] = route
        self.paths.append((method, path))

    def family(self, prefix: str, tell_error: TellError) -> None:
        """Tell errors of paths under a prefix in another form."""
        self._families.append((prefix.encode(), tell_error))

    def dispatch(self, exchange: Exchange) -> None:
        """Run the route of an exchange."""
        found = self._ready.get((exchange.method, exchange.path))
        try:
            if found is None:
                found = self._find(exchange)
            found[0](exchange, found[1])
        except HeklaError as error:
            self.fail(exchange, error)
        except Exception as error:  # noqa: BLE001  # the request boundary
            self.abort(exchange, error)

    def fail(self, exchange: Exchange, error: HeklaError) -> None:
        """Answer with an error, in the form of the path's family."""
        exchange.respond(self.describe(exchange.path, error))

    def abort(self, exchange: Exchange, error: BaseException) -> None:
        """Answer with whatever was raised; what is not one of ours is a bug of ours and is logged."""
        if isinstance(error, HeklaError):
            self.fail(exchange, error)
            return
        _log.error("a request could not be answered", exc_info=error)
        self.fail(exchange, EngineError(f"internal fault: {type(error).__name__}", where="server", cure="see its log"))

    def describe(self, path: bytes, error: HeklaError) -> Response:
        """Return an error as the family of a path tells it."""
        families = (tell for prefix, tell in self._families if path.startswith(prefix))
        response = next(families, self._tell_error)(error)
        if isinstance(error, OverloadedError):
            seconds = b"%d" % math.ceil(max(error.retry_after_s, 1.0))
            response = replace(response, headers=(*response.headers, (b"retry-after", seconds)))
        elif isinstance(error, _MethodNotAllowedError):
            response = replace(response, status=405, headers=(*response.headers, (b"allow", error.allowed)))
        return response

    def _nearest(self, path: str) -> str:
        known = [known for _, known in self.paths]
        close = difflib.get_close_matches(path, known, n=1) if len(path) <= _REMEMBERED_BYTES else []
        return f"did you mean {close[0]!r}?" if close else "/openapi.json lists them all"

    def _find(self, exchange: Exchange) -> tuple[Route, tuple[str, ...]]:
        try:
            path = exchange.path.decode("ascii")
            segments = [unquote(segment, errors="strict") for segment in path.strip("/").split("/")]
        except UnicodeDecodeError:
            raise InputError("the path is not percent-encoded UTF-8", where="request line") from None
        parameters: list[str] = []
        node: _Node | None = self._root
        for segment in segments:
            assert node is not None
            child = node.children.get(segment)
            if child is None:
                child = node.placeholder if segment else None
                parameters.append(segment)
            node = child
            if node is None:
                break
        if node is None or not node.routes:
            raise NotFoundError(f"no such path {quoted(path)}", cure=self._nearest(path))
        # HEAD is GET without the body, which the connection leaves out.
        route = node.routes.get(b"GET" if exchange.method == b"HEAD" else exchange.method)
        if route is None:
            allowed = b", ".join(sorted({*node.routes, *([b"HEAD"] if b"GET" in node.routes else [])}))
            raise _MethodNotAllowedError(exchange.method, allowed)
        if len(path) > _REMEMBERED_BYTES:
            return route, tuple(parameters)
        if len(self._ready) >= _REMEMBERED:
            self._ready.clear()
        self._ready[exchange.method, exchange.path] = found = (route, tuple(parameters))
        return found


class _MethodNotAllowedError(InputError):
    """The path is right, the method is not."""

    def __init__(self, method: bytes, allowed: bytes) -> None:
        self.allowed = allowed
        super().__init__(
            f"the method {method.decode(errors='replace')} is not for this path",
            where="request line",
            cure=f"allowed: {allowed.decode()}",
        )
