"""A stage's table in `model.toml`, read into a dataclass that states names, types and defaults once."""

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol, TypeVar

from hekla.base.errors import ConfigError, nearest_name
from hekla.protocols.stage import StageSource


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # typeshed's own Any: a field's default has any type


Options = TypeVar("Options", bound=_Dataclass)


def read_options(kind: type[Options], source: StageSource) -> Options:
    """Return the options of a stage; fields of `kind` are int, float, bool or str and every one has a default.

    An integer is taken where a float is wanted, nothing else is converted.
    Errors: ConfigError naming the option for an unknown name or a value of another type, and whatever
    `kind.__post_init__` raises, a ConfigError too, for a value out of range.
    """
    known = {field.name: field.type for field in fields(kind)}
    values: dict[str, object] = {}
    for name, value in source.options.items():
        where = f"{source.where}.{name}"
        if name not in known:
            raise ConfigError("unknown option", where=where, cure=nearest_name(name, known))
        values[name] = _checked(value, known[name], where)
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(error.message, where=f"{source.where}.{error.where}", cure=error.cure) from None


def require(name: str, value: float, *, at_least: float, at_most: float = float("inf")) -> None:
    """Refuse an option out of its range; for `__post_init__` of an options dataclass. Errors: ConfigError."""
    if not at_least <= value <= at_most:
        bounds = f"at least {at_least:g}" if at_most == float("inf") else f"from {at_least:g} to {at_most:g}"
        raise ConfigError(f"expected {bounds}, got {value:g}", where=name)


def reject_options(source: StageSource) -> None:
    """Refuse any option: for a stage that has none. Errors: ConfigError naming the first."""
    for name in source.options:
        raise ConfigError("unknown option", where=f"{source.where}.{name}", cure="this stage has no options")


def _checked(value: object, kind: object, where: str) -> object:
    """Return the value if it is of the kind: exactly, so that `true` is no integer."""
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(f"expected {_NAMES[kind]}, got {value!r}", where=where)
    return value


_NAMES: Mapping[object, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}
