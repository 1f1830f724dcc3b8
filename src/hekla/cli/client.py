"""A small client of the server's HTTP doors, for the commands that ask a running server."""

import contextlib
import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from hekla.base.errors import ConfigError, EngineError, HeklaError, InputError, NotFoundError, UnavailableError
from hekla.cli.options import DEFAULT_URL

if TYPE_CHECKING:
    from hekla.protocols.tensor import Array, Tensors

# `Any` below: JSON the server sent; its shape is checked where it is read.
Json = dict[str, Any]

_ERRORS: Mapping[int, type[HeklaError]] = {400: InputError, 404: NotFoundError, 503: UnavailableError}
_HEADER_LENGTH = "Inference-Header-Content-Length"


class UnreachableError(UnavailableError):
    """No server answers at the URL."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered, and how long the client waited for it."""

    model: str
    version: str
    outputs: "Tensors"
    took_s: float


class ServerClient:
    """One connection to a server, kept open between calls. Use as a context manager."""

    def __init__(self, url: str = DEFAULT_URL, timeout_s: float = 120.0) -> None:
        """Errors: ConfigError for what is no http or https URL."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise ConfigError(f"{url!r} is no server's URL", where="--url", cure=f"write it like {DEFAULT_URL}")
        self.url = url
        self._prefix = parts.path.rstrip("/")
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(parts.hostname, port, timeout=timeout_s, context=context)
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, port, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, path: str) -> Any:
        """Return the JSON document at a path. Errors: as `post`."""
        return _json(self._exchange("GET", path, None, {})[1])

    def post(self, path: str, document: object) -> Any:
        """Send a JSON document, return the one that came back (None for an empty body).

        Errors: UnreachableError; otherwise the server's own message as the error its status stands for.
        """
        body = self._exchange("POST", path, json.dumps(document).encode(), {"Content-Type": "application/json"})[1]
        return _json(body) if body else None

    def stream(self, path: str, document: object) -> Iterator[Json]:
        """Send a JSON document, yield those that come back as server-sent events; giving up early ends the answer.

        Errors: as `post`; EngineError for an error among the events, or a stream that ends too early.
        """
        response = self._begin("POST", path, json.dumps(document).encode(), {"Content-Type": "application/json"})
        is_whole = False
        try:
            while line := response.readline():
                if line.startswith(b"data: "):
                    text = line.removeprefix(b"data: ").strip()
                    if text == b"[DONE]":
                        response.read()
                        is_whole = True
                        return
                    told = _json(text)
                    if "error" in told:
                        raise EngineError(str(told["error"].get("message", told["error"])))
                    yield told
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(
                f"the answer broke off ({_reason(error)})", cure="is the server still running?"
            ) from error
        finally:
            if not is_whole:
                self._connection.close()
        raise EngineError("the answer broke off", cure="is the server still running?")

    def metadata(self, model: str, version: str = "") -> Json:
        """Return a model's metadata. Errors: NotFoundError, UnavailableError, UnreachableError."""
        found: Json = self.get(model_path(model, version))
        return found

    def infer(
        self,
        model: str,
        inputs: "Tensors",
        *,
        version: str = "",
        outputs: Sequence[str] = (),
        parameters: Mapping[str, object] | None = None,
    ) -> Answer:
        """Run a model. Tensors travel in the binary form, so any bytes and any floats arrive as they are.

        Errors: as `post`; EngineError for an answer that is not what the protocol says.
        """
        head, body = _request(inputs, outputs, parameters or {})
        headers = {_HEADER_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
        started = time.perf_counter()
        found, content = self._exchange("POST", f"{model_path(model, version)}/infer", head + body, headers)
        took_s = time.perf_counter() - started
        document, tensors = _response(content, int(found.get(_HEADER_LENGTH.lower(), len(content))))
        return Answer(str(document.get("model_name", model)), str(document.get("model_version", "")), tensors, took_s)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[dict[str, str], bytes]:
        response = self._begin(method, path, body, headers)
        try:
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._unreachable(error) from error
        return {name.lower(): value for name, value in response.getheaders()}, content

    def _begin(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        """Send a request; return the answer with its body still to be read."""
        try:
            self._connection.request(method, self._prefix + path, body, dict(headers))
            response = self._connection.getresponse()
            content = response.read() if response.status >= 400 else b""
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._unreachable(error) from error
        if response.status >= 400:
            raise _ERRORS.get(response.status, HeklaError)(_message(response.status, response.reason, content))
        return response

    def _unreachable(self, error: BaseException) -> UnreachableError:
        return UnreachableError(
            f"no answer from {self.url} ({_reason(error)})",
            cure="is the server running? start it with `make up` or `hekla serve`",
        )


def model_path(model: str, version: str = "") -> str:
    """Return the protocol's path of a model, or of one of its versions."""
    path = f"/v2/models/{quote(model, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def _request(inputs: "Tensors", outputs: Sequence[str], parameters: Mapping[str, object]) -> tuple[bytes, bytes]:
    from hekla.base.dtypes import DType
    from hekla.serve.oip.tensors import encode_raw

    raw = [encode_raw(array) for array in inputs.values()]
    document: Json = {
        "inputs": [
            {
                "name": name,
                "datatype": DType.of(array.dtype).value,
                "shape": list(array.shape),
                "parameters": {"binary_data_size": part.nbytes},
            }
            for (name, array), part in zip(inputs.items(), raw, strict=True)
        ],
        "parameters": {**parameters, "binary_data_output": True},
    }
    if outputs:
        document["outputs"] = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    return json.dumps(document).encode(), b"".join(raw)


def _response(content: bytes, head_length: int) -> "tuple[Json, dict[str, Array]]":
    from hekla.serve.oip.tensors import decode_raw, decode_values, dtype_named

    document = _json(content[:head_length])
    tensors: dict[str, Array] = {}
    at = head_length
    try:
        for output in document["outputs"]:
            where = f"output {output['name']!r}"
            dtype, shape = dtype_named(where, output["datatype"]), output["shape"]
            size = output.get("parameters", {}).get("binary_data_size")
            if size is None:
                tensors[output["name"]] = decode_values(where, dtype, shape, output["data"])
            else:
                tensors[output["name"]] = decode_raw(where, dtype, shape, content[at : at + size])
                at += size
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise EngineError(f"the server's answer is not in the protocol's form: {error}") from error
    return document, tensors


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise EngineError(
            "the server's answer is not JSON", cure="is another program listening at this URL?"
        ) from error


def _message(status: int, reason: str, content: bytes) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        error = json.loads(content).get("error")
        if isinstance(error, dict):  # OpenAI's shape
            error = error.get("message")
        if error:
            return str(error)
    return f"the server answered {status} {reason}"


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__).lower()
