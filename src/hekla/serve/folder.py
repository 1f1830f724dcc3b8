"""What lies in a repository folder: model folders, their numbered versions, and whether something changed.

    models/                 the repository
        ocr-detect/         a model, named as its folder
            model.toml
            1/  2/          versions: whole numbers from 1, no leading zero

Names that begin with `.`, `_` or `~`, or end in `~`, `.tmp` or `.part`, are passed over: editors and copying tools
leave such things. What a person may have meant to be served is never passed over in silence: it becomes a warning.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hekla.base.errors import ConfigError, nearest_name
from hekla.serve.config import GRAPH, ModelConfig
from hekla.serve.model_toml import MODEL_TOML

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_PASSED_OVER = re.compile(r"[._~].*|.*(~|\.tmp|\.part)|lost\+found")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """One model's folder and the versions in it, smallest first."""

    name: str
    path: Path
    versions: tuple[int, ...]

    @property
    def model_toml(self) -> Path:
        """Where its configuration lies."""
        return self.path / MODEL_TOML


@dataclass(frozen=True, slots=True)
class VersionFolder:
    """One version to serve: `path` is what the engine may read."""

    number: int
    path: Path


@dataclass(frozen=True, slots=True)
class Scan:
    """What some repositories hold: models by name, what is unsafe or clashes by name, and what else was odd."""

    models: tuple[ModelFolder, ...]
    refused: tuple[tuple[str, ConfigError], ...]
    warnings: tuple[str, ...]


def scan(repositories: Sequence[Path]) -> Scan:
    """Return the models in the repository folders, by name. Reads names only, no file.

    Errors: ConfigError if a repository itself is missing or unreadable; a bad model in it is only `refused`.
    """
    models: dict[str, ModelFolder] = {}
    refused: dict[str, ConfigError] = {}
    warnings: list[str] = []
    for repository in repositories:
        for name in _names(repository, "--repository"):
            path = repository / name
            if not path.is_dir():
                warnings.append(f"{path}: passed over: a repository holds one folder per model")
                continue
            try:
                folder = _model_folder(repository, path, warnings)
                if folder is not None and name in models:
                    raise ConfigError(f"is also in {models[name].path}", where=str(path), cure="rename one of the two")
            except ConfigError as error:
                refused[name] = error
                models.pop(name, None)
            else:
                if folder is not None and name not in refused:
                    models[name] = folder
    return Scan(
        tuple(models[name] for name in sorted(models)),
        tuple((name, refused[name]) for name in sorted(refused)),
        tuple(warnings),
    )


def versions_to_serve(folder: ModelFolder, config: ModelConfig) -> tuple[VersionFolder, ...]:
    """Return the versions the model's policy picks, smallest first.

    A graph without version folders has one version, 1, which is the model's folder itself.
    Errors: ConfigError if there is no version, or a specific one is not there.
    """
    if not folder.versions and config.engine.kind == GRAPH:
        return (VersionFolder(1, folder.path),)
    if not folder.versions:
        raise ConfigError("has no version", where=str(folder.path), cure="put the model's files into a folder named 1")
    chosen: Iterable[int] = folder.versions
    if config.versions.policy == "latest":
        chosen = folder.versions[-config.versions.count :]
    elif config.versions.policy == "specific":
        chosen = sorted(config.versions.specific)
        for version in chosen:
            if version not in folder.versions:
                cure = nearest_name(str(version), [str(there) for there in folder.versions])
                raise ConfigError(
                    f"version {version} is not there", where=f"{config.path}: [versions].specific", cure=cure
                )
    return tuple(VersionFolder(version, folder.path / str(version)) for version in chosen)


# What a model's files look like from outside: (path below the folder, bytes, time of change in ns), sorted.
Fingerprint = tuple[tuple[str, int, int], ...]


def fingerprint(folder: ModelFolder) -> Fingerprint:
    """Return a value that differs after any file of the model was written, added or removed. Opens no file.

    A file that vanishes while this looks is left out: the next look differs.
    """
    files = [folder.model_toml]
    for version in folder.versions:
        for root, folders, names in os.walk(folder.path / str(version)):
            folders[:] = sorted(name for name in folders if not _PASSED_OVER.fullmatch(name))
            files += [Path(root, name) for name in sorted(names) if not _PASSED_OVER.fullmatch(name)]
    seen = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        seen.append((str(file.relative_to(folder.path)), status.st_size, status.st_mtime_ns))
    return (*((f"{version}/", 0, 0) for version in folder.versions), *seen)


def _model_folder(repository: Path, path: Path, warnings: list[str]) -> ModelFolder | None:
    _refuse_escape(repository, path)
    if not (path / MODEL_TOML).exists():
        warnings.append(f"{path}: passed over: it has no {MODEL_TOML}")
        return None
    if not _MODEL_NAME.fullmatch(path.name):
        cure = "use letters, digits, '.', '_' and '-', at most 128, and begin with a letter or digit"
        raise ConfigError(f"{path.name!r} is no model name", where=str(path), cure=cure)
    _refuse_escape(repository, path / MODEL_TOML)
    versions: list[int] = []
    for name in _names(path, "a model's folder"):
        version = path / name
        if not version.is_dir():
            continue  # model.toml, a README, a licence
        _refuse_escape(repository, version)
        if _VERSION.fullmatch(name):
            versions.append(int(name))
        else:
            warnings.append(f"{version}: passed over: versions are folders named 1, 2, 3 and so on")
    return ModelFolder(path.name, path, tuple(sorted(versions)))


def _names(folder: Path, where: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not _PASSED_OVER.fullmatch(name))
    except OSError as error:
        message = f"{folder} cannot be read: {error.strerror}"
        raise ConfigError(message, where=where, cure="name a folder that holds one folder per model") from error


def _refuse_escape(repository: Path, path: Path) -> None:
    """Refuse a symbolic link that leads out of the repository."""
    target = path.resolve()
    if not target.is_relative_to(repository.resolve()):
        raise ConfigError(f"leads out of the repository, to {target}", where=str(path), cure="copy the files instead")
