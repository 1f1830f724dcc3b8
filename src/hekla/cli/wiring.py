"""The one module that knows everybody: finds engines and stages by entry point and hands them to the server."""

import importlib.metadata
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import hekla
from hekla.base.errors import ConfigError
from hekla.protocols.engine import Engine, EngineLoader, EngineSource
from hekla.protocols.stage import Stage, StageLoader, StageSource

if TYPE_CHECKING:
    from hekla.serve.server import Page

ENGINES = "hekla.engines"
STAGES = "hekla.stages"

_Source = TypeVar("_Source", EngineSource, StageSource)
_Made = TypeVar("_Made")


class PluginLoader(Generic[_Source, _Made]):
    """A loader that is imported when the first model needs it."""

    def __init__(self, entry_point: importlib.metadata.EntryPoint) -> None:
        self._entry_point = entry_point

    def __call__(self, source: _Source) -> _Made:
        """Return what the loader makes. Errors: ConfigError if it cannot be imported, and its own."""
        try:
            load: Any = self._entry_point.load()  # whatever the entry point names
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"{self._entry_point.value} cannot be imported: {error}",
                where=f"{self._entry_point.group}: {self._entry_point.name}",
                cure=f"install {_distribution(self._entry_point)} again, with its extras",
            ) from error
        made: _Made = load(source)
        return made


def installed_engines() -> Mapping[str, EngineLoader]:
    """Return the engines of every installed distribution by name. Errors: ConfigError if two claim one name."""
    found: dict[str, EngineLoader] = {}
    for entry_point in unique(importlib.metadata.entry_points(group=ENGINES)):
        loader: PluginLoader[EngineSource, Engine] = PluginLoader(entry_point)
        found[entry_point.name] = loader
    return found


def installed_stages() -> Mapping[str, StageLoader]:
    """Return the stages of every installed distribution by name. Errors: ConfigError if two claim one name."""
    found: dict[str, StageLoader] = {}
    for entry_point in unique(importlib.metadata.entry_points(group=STAGES)):
        loader: PluginLoader[StageSource, Stage] = PluginLoader(entry_point)
        found[entry_point.name] = loader
    return found


def unique(entry_points: Iterable[importlib.metadata.EntryPoint]) -> list[importlib.metadata.EntryPoint]:
    """Return the entry points, each name once.

    Errors: ConfigError naming both distributions if two things claim one name.
    """
    by_name: dict[str, importlib.metadata.EntryPoint] = {}
    for entry_point in entry_points:
        other = by_name.setdefault(entry_point.name, entry_point)
        if other.value != entry_point.value:
            first, second = sorted([_distribution(other), _distribution(entry_point)])
            raise ConfigError(
                f"{entry_point.name!r} is claimed by {first} and by {second}",
                where=entry_point.group,
                cure="uninstall one of the two",
            )
    return list(by_name.values())


def _distribution(entry_point: importlib.metadata.EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist is not None else entry_point.value


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `hekla serve` was asked for."""

    repositories: tuple[Path, ...]
    python_models: tuple[Path, ...] = ()
    watch: bool = False
    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int | None = 8001  # None: no gRPC
    ready_file: Path | None = None
    max_body_bytes: int = 64 << 20
    threads: int = 0
    log_level: str = "info"
    log_format: str = "text"
    access_log: bool = False
    otlp_endpoint: str = ""
    server_name: str = "hekla"
    as_json: bool = False
    on_ready: Callable[[str, str], None] | None = None  # called with the HTTP URL and the gRPC address


def run_server(options: ServeOptions) -> int:
    """Serve until told to stop; return the exit status. Errors: ConfigError."""
    from hekla.serve.loading import Parts
    from hekla.serve.observe.logs import configure_logs
    from hekla.serve.server import Addresses, ServerConfig, run

    configure_logs(options.log_level, "json" if options.log_format == "json" else "text")
    config = ServerConfig(
        repositories=options.repositories,
        host=options.host,
        http_port=options.http_port,
        grpc_port=options.grpc_port,
        name=options.server_name,
        version=hekla.__version__,
        watch=options.watch,
        max_body_bytes=options.max_body_bytes,
        otlp_endpoint=options.otlp_endpoint,
        access_log=options.access_log,
    )
    parts = Parts(
        engines=installed_engines(),
        stages=installed_stages(),
        threads=options.threads or len(os.sched_getaffinity(0)),
        code_folders=options.python_models,
    )

    def on_ready(addresses: Addresses) -> None:
        _announce(options, addresses.http, addresses.grpc)

    run(config, parts, console_pages(), on_ready)
    return 0


def _announce(options: ServeOptions, http: str, grpc: str) -> None:
    line = json.dumps({"event": "ready", "http": http, "grpc": grpc})
    if options.ready_file is not None:
        part = options.ready_file.with_name(f"{options.ready_file.name}.part")
        part.write_text(line + "\n")
        part.replace(options.ready_file)
    if options.as_json:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    if options.on_ready is not None:
        options.on_ready(http, grpc)
    elif not options.as_json:
        logging.getLogger("hekla.cli").info("ready at %s%s", http, f", gRPC at {grpc}" if grpc else "")


def console_pages() -> "Mapping[str, Page]":
    """Return the web console's documents by path."""
    return {}
