"""The [engine] table as an engine reads it: an unknown or mistyped option is an error that names the key."""

from collections.abc import Collection

from hekla.base.errors import ConfigError, nearest_name
from hekla.protocols.engine import EngineSource


def config_place(source: EngineSource) -> str:
    """Return how an error names the file the engine was configured in, or the model where there is none."""
    return source.where.removesuffix(": [engine]") or source.model


def option_place(source: EngineSource, key: str) -> str:
    """Return how an error names one option: `models/ocr/model.toml: [engine].file`."""
    return f"{config_place(source)}: [engine].{key}"


def refuse_unknown_options(source: EngineSource, known: Collection[str]) -> None:
    """Errors: ConfigError for the first option that is not among the known ones."""
    for key in source.options:
        if key not in known:
            raise ConfigError("unknown option", where=option_place(source, key), cure=nearest_name(key, known))


def text_option(source: EngineSource, key: str, default: str, choices: Collection[str] = ()) -> str:
    """Return a text option, or its default. Errors: ConfigError unless it is a non-empty text (among the choices)."""
    value = source.options.get(key, default)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"expected a text, got {value!r}", where=option_place(source, key))
    if choices and value not in choices:
        raise ConfigError(
            f"unknown value {value!r}", where=option_place(source, key), cure=nearest_name(value, choices)
        )
    return value


def flag_option(source: EngineSource, key: str, default: bool) -> bool:
    """Return a true-or-false option, or its default. Errors: ConfigError for anything else."""
    value = source.options.get(key, default)
    if not isinstance(value, bool):
        raise ConfigError(f"expected true or false, got {value!r}", where=option_place(source, key))
    return value


def seconds_option(source: EngineSource, key: str, default: float) -> float:
    """Return a number of seconds above zero, or the default. Errors: ConfigError for anything else."""
    value = source.options.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ConfigError(f"expected a number of seconds above 0, got {value!r}", where=option_place(source, key))
    return float(value)
