"""What a repository folder holds, told without a server."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hekla.base.dtypes import DType
from hekla.base.errors import ConfigError, NotFoundError, nearest_name
from hekla.protocols.tensor import TensorSpec
from hekla.serve.folder import ModelFolder, Scan, scan, versions_to_serve
from hekla.serve.model_toml import read_model_toml

# JSON documents in the shapes a server answers with.
Json = dict[str, Any]


def models_in(repositories: Sequence[Path]) -> list[Json]:
    """Return an entry per version that would be served, and per model that could not be, sorted by name."""
    found = scan(repositories)
    entries = [entry for folder in found.models for entry in _entries(folder)]
    entries += [_refused(name, error) for name, error in found.refused]
    return sorted(entries, key=lambda entry: str(entry["name"]))


def described(repositories: Sequence[Path], model: str) -> Json:
    """Return what is known about a model without loading it.

    Errors: NotFoundError; ConfigError for a model.toml that is wrong.
    """
    folder = _find(scan(repositories), model)
    config = read_model_toml(folder.model_toml)
    return {
        "name": config.name,
        "versions": [str(version.number) for version in versions_to_serve(folder, config)],
        "platform": config.engine.kind,
        "inputs": [_tensor(spec) for spec in config.inputs],
        "outputs": [_tensor(spec) for spec in config.outputs],
        "parameters": {"task": config.task, "description": config.description, **config.parameters},
        "config": _plain(dataclasses.asdict(config)),
    }


def _entries(folder: ModelFolder) -> list[Json]:
    try:
        config = read_model_toml(folder.model_toml)
        versions = versions_to_serve(folder, config)
    except ConfigError as error:
        return [_refused(folder.name, error)]
    about = {"state": "ON DISK", "task": config.task, "description": config.description}
    return [{"name": folder.name, "version": str(version.number), **about} for version in versions]


def _refused(name: str, error: ConfigError) -> Json:
    return {"name": name, "version": "", "state": "REFUSED", "reason": str(error)}


def _find(found: Scan, model: str) -> ModelFolder:
    for folder in found.models:
        if folder.name == model:
            return folder
    for name, error in found.refused:
        if name == model:
            raise error
    known = [folder.name for folder in found.models]
    raise NotFoundError(f"there is no model {model!r}", where="--repository", cure=nearest_name(model, known))


def _tensor(spec: TensorSpec) -> Json:
    return {"name": spec.name, "datatype": spec.dtype.value, "shape": list(spec.shape)}


def _plain(value: Any) -> Any:
    """Return a value of the configuration as JSON has it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, DType):
        return value.value
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)
