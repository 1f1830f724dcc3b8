"""The models a server knows and the versions it serves: load, swap, unload. Nothing accepted is lost on the way."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hekla.base.errors import ConfigError, HeklaError, NotFoundError, UnavailableError, nearest_name
from hekla.serve.config import ModelConfig
from hekla.serve.execution.aside import run_aside
from hekla.serve.execution.graph import Submit
from hekla.serve.folder import Fingerprint, ModelFolder, Scan, fingerprint, scan, versions_to_serve
from hekla.serve.loading import Parts, load_version
from hekla.serve.model_toml import read_model_toml
from hekla.serve.override import Override, keep_config
from hekla.serve.served_model import OnAnswered, ServedModel
from hekla.serve.text.generation import OnText

State = Literal["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]

_GONE = "its folder is gone"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Entry:
    """One model of the repository."""

    name: str
    state: State = "UNAVAILABLE"
    reason: str = ""  # why it is not ready, or why its last load failed while an older one still answers
    config: ModelConfig | None = None
    versions: dict[int, ServedModel] = field(default_factory=dict)  # ascending
    seen: Fingerprint = ()  # its files when it was last loaded or failed to
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Repository:
    """Models by name. All methods run on one event loop."""

    def __init__(
        self,
        folders: Sequence[Path],
        parts: Parts,
        submit: Submit,
        on_answered: OnAnswered | None,
        on_text: OnText | None = None,
    ) -> None:
        self._folders, self._parts = tuple(folders), parts
        self._submit, self._on_answered, self._on_text = submit, on_answered, on_text
        self._entries: dict[str, Entry] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()  # warnings about the folders that were logged
        self._is_closed = False
        self.leaving: set[ServedModel] = set()  # no longer found, while they answer what they took

    @property
    def entries(self) -> Sequence[Entry]:
        """Every model known, by name."""
        return [self._entries[name] for name in sorted(self._entries)]

    def find(self, model: str, version: str = "") -> ServedModel:
        """Return the version that answers; "" is the newest served.

        Errors: NotFoundError for an unknown name or version, UnavailableError for a model that is not loaded.
        """
        entry = self._entries.get(model)
        if entry is None:
            raise NotFoundError(
                f"Request for unknown model: {model!r} is not found", cure=nearest_name(model, self._entries)
            )
        if not entry.versions:
            raise UnavailableError(
                f"model {model!r} is {entry.state.lower()}{f': {entry.reason}' if entry.reason else ''}",
                cure="load it, or wait until it is ready",
            )
        if not version:
            return next(reversed(entry.versions.values()))
        served = next((served for number, served in entry.versions.items() if str(number) == version), None)
        if served is None:
            there = ", ".join(str(number) for number in entry.versions)
            if not version.isdecimal():  # in Triton's words: its example programs look for them
                said = f"model {model!r}: failed to get model version from specified version string {version!r}"
                raise NotFoundError(said, cure=f"served: {there}")
            raise NotFoundError(f"model {model!r} has no version {version!r}", cure=f"served: {there}")
        return served

    def served(self) -> list[ServedModel]:
        """Return every version that answers."""
        return [model for entry in self.entries for model in entry.versions.values()]

    async def load_all(self) -> None:
        """Load what the folders hold; a model that cannot be loaded is noted and the others are served."""
        found = await self._scan()
        await asyncio.gather(*(self._load_noted(folder) for folder in found.models))

    async def reload_changed(self) -> list[str]:
        """Load what was added or changed on disk, unload what was removed; return the names touched.

        A model that was unloaded on request stays so until its files change.
        """
        found = await self._scan()
        there = {folder.name for folder in found.models} | {name for name, _ in found.refused}
        gone = [entry for entry in self.entries if entry.name not in there and entry.seen]
        changed = []
        for folder in found.models:
            entry = self._entries.get(folder.name)
            if entry is None or await asyncio.to_thread(fingerprint, folder) != entry.seen:
                changed.append(folder)
        for entry in gone:
            await self._unload(entry, _GONE)
            entry.seen = ()
            if not entry.versions:
                entry.reason = _GONE
        await asyncio.gather(*(self._load_noted(folder) for folder in changed))
        return sorted([*(entry.name for entry in gone), *(folder.name for folder in changed)])

    async def load(self, model: str, override: Override = keep_config) -> None:
        """Read the model's folder again and serve what it says; the versions served before answer until then.

        `override` may change what model.toml says.
        Errors: NotFoundError without such a folder; ConfigError, ModelFileError: what was served before still is.
        """
        found = await self._scan()
        for folder in found.models:
            if folder.name == model:
                await self._load(folder, override)
                return
        for name, error in found.refused:
            if name == model:
                raise error
        raise NotFoundError(
            f"failed to load {model!r}: no such folder in the repository", cure=nearest_name(model, self._entries)
        )

    async def unload(self, model: str) -> None:
        """Stop serving a model: what was accepted is answered first. Errors: NotFoundError."""
        entry = self._entries.get(model)
        if entry is None:
            raise NotFoundError(f"unknown model {model!r}", cure=nearest_name(model, self._entries))
        await self._unload(entry, "unloaded")

    async def close(self) -> None:
        """Answer what was accepted and free everything. Graphs first: their requests still need the models inside."""
        self._is_closed = True
        left = set(self._entries)
        while left:
            needed = {name for outer in left for name in steps_of(self._entries[outer].config)}
            # Those nobody needs; there always are some, because no graph contains itself.
            wave = sorted(left - needed) or sorted(left)
            await asyncio.gather(*(self._unload(self._entries[name], "the server stops") for name in wave))
            await asyncio.gather(*self._retiring)
            left.difference_update(wave)

    async def _unload(self, entry: Entry, reason: str) -> None:
        async with entry.lock:
            if not entry.versions:
                return
            entry.state = "UNLOADING"
            leaving, entry.versions = entry.versions, {}
        # Not under the lock: a call that hangs must not keep the model from being loaded again.
        await asyncio.gather(*(self._retire(served) for served in leaving.values()))
        if entry.state == "UNLOADING":
            entry.state, entry.reason = "UNAVAILABLE", reason

    async def _scan(self) -> Scan:
        found = await asyncio.to_thread(scan, self._folders)
        for warning in found.warnings:
            if warning not in self._told:
                _log.warning(warning)
        self._told = set(found.warnings)  # what went away and comes back is told again
        for name, error in found.refused:
            entry = self._entries.setdefault(name, Entry(name))
            if not entry.versions:
                entry.reason = str(error)
        return found

    async def _load_noted(self, folder: ModelFolder) -> None:
        try:
            await self._load(folder)
        except HeklaError as error:
            _log.error("model %s was not loaded: %s", folder.name, error)

    async def _load(self, folder: ModelFolder, override: Override = keep_config) -> None:
        if self._is_closed:
            raise UnavailableError("the server is stopping", where=f"model {folder.name!r}")
        entry = self._entries.setdefault(folder.name, Entry(folder.name))
        async with entry.lock:
            if not entry.versions:
                entry.state, entry.reason = "LOADING", ""
            reason = "its load was given up"
            try:
                config, loaded = await self._load_versions(folder, entry, override)
            except HeklaError as error:
                reason = str(error)
                raise
            finally:
                # Whatever else comes of it, nobody is told to wait for a load that is over.
                entry.state, entry.reason = "READY" if entry.versions else "UNAVAILABLE", reason
            replaced, entry.versions = entry.versions, loaded
            entry.config, entry.state, entry.reason = config, "READY", ""
            for served in replaced.values():
                self._retire_later(served)
        _log.info("model %s is ready, versions %s", folder.name, ", ".join(map(str, loaded)))

    async def _load_versions(
        self, folder: ModelFolder, entry: Entry, override: Override
    ) -> tuple[ModelConfig, dict[int, ServedModel]]:
        entry.seen = await asyncio.to_thread(fingerprint, folder)
        config = override(await asyncio.to_thread(read_model_toml, folder.model_toml))
        loaded: dict[int, ServedModel] = {}
        try:
            for version in versions_to_serve(folder, config):
                loaded[version.number] = await load_version(
                    config, version, self._parts, self._submit, self._on_answered, self._on_text
                )
            if self._is_closed:
                raise UnavailableError("the server is stopping", where=f"model {folder.name!r}")
            self._refuse_ring(config)
        except BaseException:
            for served in loaded.values():
                await run_aside(served.executor.close)
            raise
        return config, loaded

    def _refuse_ring(self, config: ModelConfig) -> None:
        """Refuse a graph that runs itself through other graphs. Errors: ConfigError."""
        todo, seen = list(steps_of(config)), set[str]()
        while todo:
            name = todo.pop()
            if name == config.name:
                raise ConfigError(
                    "the graph runs itself, through the models of its steps",
                    where=f"{config.path}: [graph].steps",
                    cure=f"one of them, {', '.join(sorted(seen))}, must not run {name!r}",
                )
            entry = self._entries.get(name)
            # One that is not loaded now is asked the same when it is.
            if name not in seen and entry is not None and entry.versions:
                seen.add(name)
                todo += steps_of(entry.config)

    def _retire_later(self, served: ServedModel) -> None:
        served.retire()  # now: who still holds on to it, as the doors' short ways do, must ask for its successor
        task = asyncio.get_running_loop().create_task(self._retire(served))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _retire(self, served: ServedModel) -> None:
        self.leaving.add(served)
        try:
            await served.drain()
            await run_aside(served.executor.close)
        except Exception as error:  # noqa: BLE001 - a plug-in's code; it is gone either way
            _log.warning("model %s was not closed cleanly: %s", served.name, error)
        finally:
            self.leaving.discard(served)


def steps_of(config: ModelConfig | None) -> tuple[str, ...]:
    """Return the models a graph runs; () for another model."""
    if config is None or config.graph is None:
        return ()
    return tuple(step.model for step in config.graph.steps if step.model is not None)
