"""The one module that knows everybody: finds engines and stages by entry point and hands them to the server."""

import importlib.metadata
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoints
from pathlib import Path
from typing import Any, Generic, TypeVar

from hekla.base.errors import ConfigError
from hekla.console import assets
from hekla.protocols.api import Api, ApiLoader, ApiServices, ApiSource
from hekla.protocols.engine import Engine, EngineLoader, EngineSource
from hekla.protocols.stage import Stage, StageLoader, StageSource
from hekla.protocols.text_engine import TextEngine, TextEngineLoader, TextEngineSource
from hekla.serve.loading import Parts
from hekla.serve.server import Addresses, Page, ServerConfig, run

ENGINES = "hekla.engines"
STAGES = "hekla.stages"
TEXT_ENGINES = "hekla.text_engines"
APIS = "hekla.apis"

_Source = TypeVar("_Source", EngineSource, StageSource, TextEngineSource)
_Made = TypeVar("_Made")


class PluginLoader(Generic[_Source, _Made]):
    """A loader that is imported when the first model needs it."""

    def __init__(self, entry_point: importlib.metadata.EntryPoint) -> None:
        self._entry_point = entry_point

    def __call__(self, source: _Source) -> _Made:
        """Return what the loader makes. Errors: ConfigError if it cannot be imported, and its own."""
        made: _Made = _imported(self._entry_point)(source)
        return made


def installed_engines(declared: EntryPoints | None = None) -> Mapping[str, EngineLoader]:
    """Return the engines of every installed distribution by name. Errors: ConfigError if two claim one name."""
    found: dict[str, EngineLoader] = {}
    for entry_point in unique(_of(declared, ENGINES)):
        loader: PluginLoader[EngineSource, Engine] = PluginLoader(entry_point)
        found[entry_point.name] = loader
    return found


def installed_stages(declared: EntryPoints | None = None) -> Mapping[str, StageLoader]:
    """Return the stages of every installed distribution by name. Errors: ConfigError if two claim one name."""
    found: dict[str, StageLoader] = {}
    for entry_point in unique(_of(declared, STAGES)):
        loader: PluginLoader[StageSource, Stage] = PluginLoader(entry_point)
        found[entry_point.name] = loader
    return found


def installed_text_engines(declared: EntryPoints | None = None) -> Mapping[str, TextEngineLoader]:
    """Return the text engines of every installed distribution by name. Errors: ConfigError if two claim one name."""
    found: dict[str, TextEngineLoader] = {}
    for entry_point in unique(_of(declared, TEXT_ENGINES)):
        loader: PluginLoader[TextEngineSource, TextEngine] = PluginLoader(entry_point)
        found[entry_point.name] = loader
    return found


class ApiPlugin:
    """A loader of an interface, imported when a server has it."""

    def __init__(self, entry_point: importlib.metadata.EntryPoint) -> None:
        self._entry_point = entry_point

    def __call__(self, source: ApiSource, services: ApiServices) -> Api:
        """Return what the loader makes. Errors: ConfigError if it cannot be imported, and its own."""
        made: Api = _imported(self._entry_point)(source, services)
        return made


def installed_apis(declared: EntryPoints | None = None) -> Mapping[str, ApiLoader]:
    """Return the interfaces of every installed distribution by name. Errors: ConfigError if two claim one name."""
    return {found.name: ApiPlugin(found) for found in unique(_of(declared, APIS))}


def _of(declared: EntryPoints | None, group: str) -> EntryPoints:
    return (_declared() if declared is None else declared).select(group=group)


def _declared() -> EntryPoints:
    """Return what all distributions declare. Reads a file of each, some 15 ms."""
    return EntryPoints(entry for found in importlib.metadata.distributions() for entry in found.entry_points)


def _imported(entry_point: importlib.metadata.EntryPoint) -> Any:  # whatever the entry point names
    try:
        return entry_point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{entry_point.value} cannot be imported: {error}",
            where=f"{entry_point.group}: {entry_point.name}",
            cure=f"install {_distribution(entry_point)} again, with its extras",
        ) from error


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


def run_server(
    config: ServerConfig, *, threads: int, code_folders: Sequence[Path], on_ready: Callable[[Addresses], None]
) -> None:
    """Serve with every engine and stage that is installed, until told to stop.

    `threads` per engine where model.toml does not say; 0: as many as CPUs this process may use.
    Errors: ConfigError for an address in use, a repository that is not there, two plugins with one name.
    """
    declared = _declared()
    parts = Parts(
        engines=installed_engines(declared),
        stages=installed_stages(declared),
        threads=threads or _usable_cpus(),
        code_folders=tuple(folder.absolute() for folder in code_folders),
        text_engines=installed_text_engines(declared),
    )
    pages = {path: Page(asset.content_type, asset.body) for path, asset in assets().items()}
    run(config, parts, pages, on_ready, installed_apis(declared))


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
