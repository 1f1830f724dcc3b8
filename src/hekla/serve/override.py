"""Changing a model's configuration while it is loaded: the `config` parameter of Triton's load request.

The parameter is JSON text in the form of Triton's ModelConfig. What it may change here: max_batch_size, version_policy,
dynamic_batching (preferred_batch_size, max_queue_delay_microseconds) and the count of instance_group. What names
the model (name, platform, backend) must agree with what is there; anything else is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from hekla.base.errors import InputError, UnsupportedError
from hekla.serve.config import ModelConfig, VersionsConfig

Override = Callable[[ModelConfig], ModelConfig]

_DESCRIPTIVE = frozenset({"name", "platform", "backend", "input", "output", "default_model_filename"})


def keep_config(config: ModelConfig) -> ModelConfig:
    """Override nothing."""
    return config


def read_override(text: object, where: str) -> Override:
    """Return what a `config` parameter changes. Errors: InputError, UnsupportedError naming the key."""
    if not isinstance(text, str):
        raise InputError("parameter `config` must be JSON text", where=where)
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(f"parameter `config` is not JSON: {error}", where=where) from None
    if not isinstance(document, dict):
        raise InputError("parameter `config` must be a JSON object", where=where)
    changes = [_CHANGES[key](value, where) for key, value in document.items() if key in _CHANGES]
    unknown = [key for key in document if key not in _CHANGES and key not in _DESCRIPTIVE]
    if unknown:
        raise UnsupportedError(f"key {unknown[0]!r} of `config` cannot be overridden", where=where)

    def apply(config: ModelConfig) -> ModelConfig:
        for change in changes:
            config = change(config)
        return config

    return apply


def _max_batch_size(value: object, where: str) -> Override:
    rows = _whole(value, "max_batch_size", where)
    return lambda config: replace(config, batching=replace(config.batching, max_batch=max(rows, 1)))


def _dynamic_batching(value: object, where: str) -> Override:
    table = _table(value, "dynamic_batching", where)
    delay_us = _whole(table.get("max_queue_delay_microseconds", 0), "max_queue_delay_microseconds", where)
    sizes = table.get("preferred_batch_size", [])
    if not isinstance(sizes, list):
        raise InputError("preferred_batch_size must be a list", where=where)
    preferred = tuple(_whole(size, "preferred_batch_size", where) for size in sizes)
    return lambda config: replace(config, batching=replace(config.batching, max_delay_us=delay_us, preferred=preferred))


def _instance_group(value: object, where: str) -> Override:
    if not isinstance(value, list) or len(value) != 1:
        raise InputError("instance_group must be a list of one group", where=where)
    count = max(_whole(_table(value[0], "instance_group", where).get("count", 1), "count", where), 1)
    return lambda config: replace(config, instances=replace(config.instances, count=count))


def _version_policy(value: object, where: str) -> Override:
    table = _table(value, "version_policy", where)
    versions = VersionsConfig()
    if "all" in table:
        versions = VersionsConfig("all")
    elif "specific" in table:
        numbers = _table(table["specific"], "specific", where).get("versions", [])
        versions = VersionsConfig("specific", specific=tuple(_whole(n, "versions", where) for n in numbers))
    elif "latest" in table:
        count = _whole(_table(table["latest"], "latest", where).get("num_versions", 1), "num_versions", where)
        versions = VersionsConfig("latest", max(count, 1))
    return lambda config: replace(config, versions=versions)


_CHANGES: Mapping[str, Callable[[object, str], Override]] = {
    "max_batch_size": _max_batch_size,
    "dynamic_batching": _dynamic_batching,
    "instance_group": _instance_group,
    "version_policy": _version_policy,
}


def _whole(value: object, key: str, where: str) -> int:
    if (
        isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20
    ):  # protobuf's JSON writes 64-bit numbers so
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{key} of `config` must be a whole number of 0 or more, got {value!r}", where=where)
    return value


def _table(value: object, key: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{key} of `config` must be an object", where=where)
    return value
