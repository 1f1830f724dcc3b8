"""Changing a model's configuration while it is loaded: the `config` parameter of Triton's load request.

The parameter is JSON text in the form of Triton's ModelConfig. What it may change here:

| key | changes |
|---|---|
| max_batch_size | [batching] max_batch |
| dynamic_batching.preferred_batch_size, .max_queue_delay_microseconds | [batching] preferred, max_delay_us |
| dynamic_batching.priority_levels | [queue] priority_levels |
| dynamic_batching.default_queue_policy.max_queue_size, .default_timeout_microseconds | [queue] capacity, timeout_ms |
| instance_group[0].count | [instances] count |
| version_policy | [versions] |

What names the model (name, platform, backend) must agree with what is there; its tensors and its file are passed over,
because the model itself says them. Anything else is refused. Numbers have the ranges of model.toml.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import orjson

from hekla.base.errors import InputError, UnsupportedError, nearest_name
from hekla.serve.config import BatchingConfig, InstancesConfig, ModelConfig, QueueConfig, Range, VersionsConfig

Override = Callable[[ModelConfig], ModelConfig]

_PASSED_OVER = frozenset({"input", "output", "default_model_filename"})
# How Triton names what runs a model, where that differs from our engine's kind.
_PLATFORMS = {"onnxruntime_onnx": "onnxruntime", "ensemble": "graph"}


def keep_config(config: ModelConfig) -> ModelConfig:
    """Override nothing."""
    return config


def read_override(text: object, where: str) -> Override:
    """Return what a `config` parameter changes. Errors: InputError, UnsupportedError naming the key.

    Applying it raises InputError if it names another model.
    """
    if not isinstance(text, str):
        raise InputError("parameter `config` must be JSON text", where=where)
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(f"parameter `config` is not JSON: {error}", where=where) from None
    changes = _changes(_table(document, "`config`", where), _CHANGES, "", where)

    def apply(config: ModelConfig) -> ModelConfig:
        for change in changes:
            config = change(config)
        return config

    return apply


_Changes = Mapping[str, Callable[[object, str, str], Override]]  # key -> (value, place, where) -> what it changes


def _changes(table: Mapping[str, object], known: _Changes, place: str, where: str) -> list[Override]:
    for key in table:
        if key not in known:
            raise UnsupportedError(
                f"key {place + key!r} of `config` cannot be overridden", where=where, cure=nearest_name(key, known)
            )
    return [known[key](value, place + key, where) for key, value in table.items()]


def _nothing(value: object, place: str, where: str) -> Override:
    return keep_config


def _is(of: Callable[[ModelConfig], str], names: Mapping[str, str]) -> Callable[[object, str, str], Override]:
    def read(value: object, place: str, where: str) -> Override:
        def agree(config: ModelConfig) -> ModelConfig:
            if value not in ("", of(config)) and names.get(str(value)) != of(config):
                raise InputError(f"{place} of `config` is {value!r}, but it is {of(config)!r}", where=where)
            return config

        return agree

    return read


def _number(table: str, key: str, unit: int = 1, least: int = 0) -> Callable[[object, str, str], Override]:
    """Read a number of model.toml's `table`; `unit` of Triton's make one of ours; smaller than `least` is `least`."""

    def read(value: object, place: str, where: str) -> Override:
        number = max(-(-_whole(value, place, where) // unit), least)
        _in_range(number * unit, table, key, unit, place, where)
        return lambda config: _with(config, table, key, number)

    return read


def _preferred(value: object, place: str, where: str) -> Override:
    sizes = sorted({_whole(size, place, where) for size in _list(value, place, where)})
    for size in sizes:
        _in_range(size, "batching", "max_batch", 1, place, where)
    return lambda config: _with(config, "batching", "preferred", tuple(sizes))


def _group(value: object, place: str, where: str) -> Override:
    groups = _list(value, place, where)
    if len(groups) != 1:
        raise InputError(f"{place} must be a list of one group", where=where)
    return _nested(_GROUP)(groups[0], f"{place}[0]", where)


def _nested(known: _Changes) -> Callable[[object, str, str], Override]:
    def read(value: object, place: str, where: str) -> Override:
        changes = _changes(_table(value, place, where), known, f"{place}.", where)

        def apply(config: ModelConfig) -> ModelConfig:
            for change in changes:
                config = change(config)
            return config

        return apply

    return read


def _batching(value: object, place: str, where: str) -> Override:
    """As Triton: the table as a whole replaces the one before, and what it does not name has its default."""
    named = _nested(_BATCHING)(value, place, where)
    return lambda config: named(replace(config, batching=replace(config.batching, max_delay_us=0, preferred=())))


def _version_policy(value: object, place: str, where: str) -> Override:
    table = _table(value, place, where)
    versions = VersionsConfig()
    if "all" in table:
        versions = VersionsConfig("all")
    elif "specific" in table:
        given = _table(table["specific"], f"{place}.specific", where).get("versions", [])
        numbers = sorted({_whole(number, f"{place}.specific.versions", where) for number in _list(given, place, where)})
        if not numbers:
            raise InputError(f"{place}.specific.versions names no version", where=where)
        versions = VersionsConfig("specific", specific=tuple(numbers))
    elif "latest" in table:
        latest = _table(table["latest"], f"{place}.latest", where)
        versions = VersionsConfig(
            "latest", max(_whole(latest.get("num_versions", 1), f"{place}.latest.num_versions", where), 1)
        )
    elif table:
        raise InputError(f"{place} must be latest, all or specific, got {next(iter(table))!r}", where=where)
    return lambda config: replace(config, versions=versions)


_GROUP: _Changes = {"count": _number("instances", "count", least=1), "name": _nothing, "kind": _nothing}
_QUEUE: _Changes = {
    "max_queue_size": _number("queue", "capacity", least=1),
    "default_timeout_microseconds": _number("queue", "timeout_ms", unit=1000),
    "allow_timeout_override": _nothing,
}
_BATCHING: _Changes = {
    "preferred_batch_size": _preferred,
    "max_queue_delay_microseconds": _number("batching", "max_delay_us"),
    "priority_levels": _number("queue", "priority_levels", least=1),
    "default_priority_level": _nothing,  # always the middle
    "default_queue_policy": _nested(_QUEUE),
}
_CHANGES: _Changes = {
    "name": _is(lambda config: config.name, {}),
    "platform": _is(lambda config: config.engine.kind, _PLATFORMS),
    "backend": _is(lambda config: config.engine.kind, _PLATFORMS),
    **dict.fromkeys(_PASSED_OVER, _nothing),
    "max_batch_size": _number("batching", "max_batch", least=1),
    "dynamic_batching": _batching,
    "instance_group": _group,
    "version_policy": _version_policy,
}

_TABLES: Mapping[str, type] = {"batching": BatchingConfig, "queue": QueueConfig, "instances": InstancesConfig}


def _with(config: ModelConfig, table: str, key: str, value: object) -> ModelConfig:
    changed: Any = replace(getattr(config, table), **{key: value})  # Any: of whichever table it is
    return replace(config, **{table: changed})


def _in_range(number: int, table: str, key: str, unit: int, place: str, where: str) -> None:
    hint = get_type_hints(_TABLES[table], include_extras=True)[key]
    assert get_origin(hint) is Annotated, "every number of model.toml has a range"
    for limits in get_args(hint)[1:]:
        if isinstance(limits, Range) and number / unit not in limits:
            allowed = f"{limits.low * unit:g} to {limits.high * unit:g}"
            raise InputError(f"{place} of `config` is out of range: {number}", where=where, cure=f"allowed: {allowed}")


def _whole(value: object, place: str, where: str) -> int:
    # protobuf's JSON writes 64-bit numbers as text
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{place} of `config` must be a whole number of 0 or more, got {value!r}", where=where)
    return value


# Any: of the client's JSON.
def _list(value: object, place: str, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{place} of `config` must be a list", where=where)
    return value


# Any: of the client's JSON.
def _table(value: object, place: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{place} of `config` must be an object", where=where)
    return value
