"""The seam between the server and an application interface that an engine brings along, a vector database's for one.

An `Api` is functions from bytes to bytes: it says which routes and remote procedures it has and answers them; it knows
nothing of sockets, threads and loops. The server calls it from worker threads, several at once, and looks after limits,
keys, metrics, compression and deadlines.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the key of the request says. The server knows keys; an interface knows what they are about."""

    tenant: str = ""  # "": nobody's in particular, who sees every tenant's data
    collections: tuple[str, ...] | None = None  # names, or patterns such as "public-*"; None: every one
    may_write: bool = True

    def reaches(self, collection: str) -> bool:
        """Return whether the key is good for a collection."""
        return self.collections is None or any(fnmatchcase(collection, pattern) for pattern in self.collections)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request to a route."""

    parameters: tuple[str, ...]  # what stood where the pattern has braces
    query: Mapping[str, str]
    body: bytes
    media_type: str = ""
    caller: Caller = Caller()
    deadline_s: float | None = None  # on the clock of `time.monotonic`


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """What to answer. `stream`: pieces of a long body, asked for one at a time; then `body` is empty."""

    body: bytes
    status: int = 200
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    stream: "Sequence[bytes] | None" = None


@dataclass(frozen=True, slots=True)
class Route:
    """One route. The server refuses writes to keys that may only read; the interface, what a key does not reach."""

    method: str
    pattern: str  # "/collections/{name}/points"
    handle: Callable[[ApiRequest], ApiResponse]  # errors: any HeklaError, told in the form of `tell`
    is_write: bool = False
    collection_parameter: int | None = None  # which parameter names the collection, for metrics
    is_public: bool = False  # health and the like: asks for no key


@dataclass(frozen=True, slots=True)
class Rpc:
    """One unary remote procedure: serialised message in, serialised message out."""

    name: str  # "/hekla.vector.v1.Vectors/Search"
    handle: Callable[[bytes, Caller, float], bytes]  # (message, caller, deadline_s); errors: any HeklaError
    is_write: bool = False


@dataclass(frozen=True, slots=True)
class ApiServices:
    """What the server lends an interface. Callable from its worker threads; may wait."""

    embed: Callable[[str, Sequence[str]], NDArray[np.float32]]  # (model, texts) -> (n, dimensions); errors: HeklaError


class Api(Protocol):
    """An application interface."""

    @property
    def routes(self) -> Sequence[Route]:
        """Every route. Never changes."""

    @property
    def rpcs(self) -> Sequence[Rpc]:
        """Every remote procedure. Never changes."""

    def tell(self, error: Exception) -> ApiResponse:
        """Return an error in this interface's own form, with its status."""

    def openapi(self) -> Mapping[str, Any]:  # Any: JSON
        """Return {"paths": ..., "components": ...} of the routes, to be merged into the server's document."""

    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """Return gauges by name, each by the text of its label `collection`. Quick; any thread."""

    def close(self) -> None:
        """Write what is owed and free everything. A second call does nothing."""


@dataclass(frozen=True, slots=True)
class ApiSource:
    """What an interface is made from."""

    folder: Path  # where it may keep what it stores
    options: Mapping[str, object] = field(default_factory=dict)  # its table in the server's configuration
    threads: int = 1  # for work behind requests
    where: str = ""  # how errors name that table


class ApiLoader(Protocol):
    """Makes interfaces. Registered by name in the entry-point group `hekla.apis`."""

    def __call__(self, source: ApiSource, services: ApiServices) -> Api:
        """Return a ready interface. Errors: ConfigError; LockedError if its folder is in use."""
