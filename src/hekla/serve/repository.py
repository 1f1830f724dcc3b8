"""The models a server knows and the versions it serves: load, swap, unload. Nothing accepted is lost on the way."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hekla.base.errors import ConfigError, HeklaError, NotFoundError, UnavailableError, nearest_name
from hekla.serve.config import ModelConfig
from hekla.serve.execution.graph import Submit
from hekla.serve.folder import Fingerprint, ModelFolder, fingerprint, scan, versions_to_serve
from hekla.serve.loading import Parts, load_version
from hekla.serve.model_toml import read_model_toml
from hekla.serve.override import Override, keep_config
from hekla.serve.served_model import OnAnswered, ServedModel

State = Literal["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]

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

    def __init__(self, folders: Sequence[Path], parts: Parts, submit: Submit, on_answered: OnAnswered | None) -> None:
        self._folders, self._parts = tuple(folders), parts
        self._submit, self._on_answered = submit, on_answered
        self._entries: dict[str, Entry] = {}
        self._retiring: set[asyncio.Task[None]] = set()

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
            raise NotFoundError(f"model {model!r} has no version {version!r}", cure=f"served: {there}")
        return served

    def served(self) -> list[ServedModel]:
        """Return every version that answers."""
        return [model for entry in self.entries for model in entry.versions.values()]

    async def load_all(self) -> None:
        """Load what the folders hold; a model that cannot be loaded is noted and the others are served."""
        folders = await self._scan()
        await asyncio.gather(*(self._load_noted(folder) for folder in folders.values()))

    async def reload_changed(self) -> list[str]:
        """Load what was added or changed on disk, unload what was removed; return the names touched."""
        folders = await self._scan()
        gone = [name for name, entry in self._entries.items() if name not in folders and entry.versions]
        changed = []
        for name, folder in folders.items():
            entry = self._entries.get(name)
            if entry is None or await asyncio.to_thread(fingerprint, folder) != entry.seen:
                changed.append(folder)
        for name in gone:
            await self.unload(name)
        await asyncio.gather(*(self._load_noted(folder) for folder in changed))
        return sorted([*gone, *(folder.name for folder in changed)])

    async def load(self, model: str, override: Override = keep_config) -> None:
        """Read the model's folder again and serve what it says; the versions served before answer until then.

        `override` may change what model.toml says.
        Errors: NotFoundError without such a folder; ConfigError, ModelFileError: what was served before still is.
        """
        folder = (await self._scan()).get(model)
        if folder is None:
            known = self._entries.get(model)
            if known is not None and known.reason and not known.versions:
                raise ConfigError(known.reason, where=f"model {model!r}")
            raise NotFoundError(
                f"failed to load {model!r}: no such folder in the repository", cure=nearest_name(model, self._entries)
            )
        await self._load(folder, override)

    async def unload(self, model: str) -> None:
        """Stop serving a model: what was accepted is answered first. Errors: NotFoundError."""
        entry = self._entries.get(model)
        if entry is None:
            raise NotFoundError(f"unknown model {model!r}", cure=nearest_name(model, self._entries))
        async with entry.lock:
            if not entry.versions:
                return
            entry.state = "UNLOADING"
            leaving, entry.versions = entry.versions, {}
            await asyncio.gather(*(_retire(served) for served in leaving.values()))
            entry.state, entry.reason, entry.seen = "UNAVAILABLE", "unloaded", ()

    async def close(self) -> None:
        """Answer what was accepted and free everything."""
        await asyncio.gather(*(self.unload(name) for name in self._entries))
        if self._retiring:
            await asyncio.gather(*self._retiring)

    async def _scan(self) -> dict[str, ModelFolder]:
        found = await asyncio.to_thread(scan, self._folders)
        for warning in found.warnings:
            _log.warning(warning)
        for name, error in found.refused:
            entry = self._entries.setdefault(name, Entry(name))
            if not entry.versions:
                entry.reason = str(error)
        return {folder.name: folder for folder in found.models}

    async def _load_noted(self, folder: ModelFolder) -> None:
        try:
            await self._load(folder)
        except HeklaError as error:
            _log.error("model %s was not loaded: %s", folder.name, error)

    async def _load(self, folder: ModelFolder, override: Override = keep_config) -> None:
        entry = self._entries.setdefault(folder.name, Entry(folder.name))
        async with entry.lock:
            if not entry.versions:
                entry.state, entry.reason = "LOADING", ""
            try:
                config, loaded = await self._load_versions(folder, entry, override)
            except HeklaError as error:
                entry.state = "READY" if entry.versions else "UNAVAILABLE"
                entry.reason = str(error)
                raise
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
                    config, version, self._parts, self._submit, self._on_answered
                )
        except BaseException:
            for served in loaded.values():
                await asyncio.to_thread(served.executor.close)
            raise
        return config, loaded

    def _retire_later(self, served: ServedModel) -> None:
        task = asyncio.get_running_loop().create_task(_retire(served))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


async def _retire(served: ServedModel) -> None:
    served.retire()
    await served.drain()
    await asyncio.to_thread(served.executor.close)
