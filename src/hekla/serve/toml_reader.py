"""From TOML tables to dataclasses: keys, types, ranges and defaults are those of the class.

A field without a default is required. Types understood: bool, int, float, str, DType, Literal, another dataclass,
`X | None`, `tuple[X, ...]`, `Mapping[str, str]`, any of them `Annotated` with a Range. A field called `options` takes
the keys that no other field has. A dataclass table whose only required key is a string may be written as that string.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

from hekla.base.dtypes import DType
from hekla.base.errors import nearest_name
from hekla.serve.config import Range
from hekla.serve.toml_lines import KeyPath
from hekla.serve.toml_place import TomlPlaces

# `Any` below: what tomllib returns, and type annotations, which are objects of many classes.
Table = dict[str, Any]

OPTIONS = "options"
ROOT = "file"
_NOUNS: Mapping[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
}


class TomlReader:
    """Reads values of one file; every complaint is a ConfigError that names the key and its line."""

    def __init__(self, places: TomlPlaces) -> None:
        self._places = places

    def table(self, kind: type, table: object, path: KeyPath, given: Mapping[str, object] | None = None) -> Any:
        """Return a `kind` (a dataclass) read from a table; `given` are fields that do not come from the file.

        Errors: ConfigError for unknown and missing keys, wrong types and numbers out of range.
        """
        given = given or {}
        annotations = typing.get_type_hints(kind, include_extras=True)
        fields = {field.name: field for field in dataclasses.fields(kind) if field.name not in given}
        if isinstance(table, str) and (key := _only_required_string(fields, annotations)):
            table = {key: table}
        if not isinstance(table, dict):
            raise self._wrong_type(path, "a table", table)
        values: dict[str, object] = dict(given)
        options: dict[str, object] = {}
        for key, value in table.items():
            if key == OPTIONS and OPTIONS in fields:
                raise self._places.error((*path, key), "unknown key", "write the options as keys of the table itself")
            if key in fields:
                values[key] = self.value(annotations[key], value, (*path, key))
            elif OPTIONS in fields:
                options[key] = value
            else:
                raise self._places.error((*path, key), "unknown key", nearest_name(key, fields))
        if OPTIONS in fields:
            values[OPTIONS] = options
        for name, field in fields.items():
            if name not in values and _is_required(field):
                raise self._places.error((*path, name), "this key is missing", _advice(name, annotations[name]))
        return kind(**values)

    def value(self, annotation: Any, value: object, path: KeyPath) -> object:
        """Return a value of the annotated type. Errors: as `table`."""
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return self._ranged(self.value(arguments[0], value, path), arguments[1], path)
        if origin is Literal:
            return self._one_of(arguments, value, path)
        if origin in (types.UnionType, typing.Union):
            (some,) = (argument for argument in arguments if argument is not types.NoneType)
            return self.value(some, value, path)
        if origin is tuple:
            if not isinstance(value, list):
                if isinstance(value, dict) and dataclasses.is_dataclass(arguments[0]):
                    name = ".".join(str(part) for part in path)
                    raise self._places.error(path, "expected an array of tables", f"write [[{name}]], doubly bracketed")
                raise self._wrong_type(path, "an array", value)
            return tuple(self.value(arguments[0], item, (*path, at)) for at, item in enumerate(value))
        if origin is not None and issubclass(origin, Mapping):
            if not isinstance(value, dict):
                raise self._wrong_type(path, "a table", value)
            return {key: self.value(arguments[1], item, (*path, key)) for key, item in value.items()}
        if annotation is DType:
            return DType[str(self._one_of(tuple(dtype.value for dtype in DType), value, path))]
        if dataclasses.is_dataclass(annotation):
            return self.table(typing.cast(type, annotation), value, path)
        return self._scalar(annotation, value, path)

    def _scalar(self, kind: type, value: object, path: KeyPath) -> object:
        if kind is float and type(value) is int:
            value = _as_float(value)
        if type(value) is not kind:  # not isinstance: a TOML boolean is no integer
            raise self._wrong_type(path, _NOUNS[kind], value)
        if isinstance(value, float) and not math.isfinite(value):
            raise self._places.error(path, "expected a finite number", "write digits")
        return value

    def _ranged(self, value: object, allowed: Range, path: KeyPath) -> object:
        if isinstance(value, int | float) and value not in allowed:
            cure = f"allowed: {allowed.low} to {allowed.high}"
            raise self._places.error(path, f"{_shown(value)} is out of range", cure)
        return value

    def _one_of(self, allowed: tuple[object, ...], value: object, path: KeyPath) -> object:
        if not isinstance(value, str):
            raise self._wrong_type(path, "a string", value)
        if value not in allowed:
            raise self._places.error(path, f"{_shown(value)} is not allowed", _allowed_text(allowed))
        return value

    def _wrong_type(self, path: KeyPath, expected: str, value: object) -> Exception:
        return self._places.error(path, f"expected {expected}, got {_described(value)}", f"write {expected} here")


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _only_required_string(fields: Mapping[str, "dataclasses.Field[Any]"], annotations: Mapping[str, Any]) -> str:
    required = [name for name, field in fields.items() if _is_required(field)]
    return required[0] if len(required) == 1 and annotations[required[0]] is str else ""


def _advice(name: str, annotation: Any) -> str:
    """Say what to write for a key that is missing."""
    base: Any = annotation
    while typing.get_origin(base) is typing.Annotated:
        base = typing.get_args(base)[0]
    if base is DType:
        return f'write {name} = "FP32", or another of the protocol\'s datatypes'
    examples: Mapping[Any, Callable[[], str]] = {
        str: lambda: f'write {name} = "..."',
        int: lambda: f"write {name} = a number",
    }
    if base in examples:
        return examples[base]()
    if dataclasses.is_dataclass(base):
        return f"write a table [{name}]"
    return f"write {name} = [...]"


def _allowed_text(allowed: tuple[object, ...]) -> str:
    return "allowed: " + ", ".join(f'"{item}"' for item in allowed)


def _as_float(value: object) -> float:
    try:
        return float(typing.cast(int, value))
    except OverflowError:
        return math.inf


def _shown(value: object) -> str:
    if isinstance(value, int) and abs(value) > 10**40:
        return "a number of that size"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _described(value: object) -> str:
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "an array"
    names: Mapping[type, str] = {str: "the string", int: "the integer", float: "the number"}
    return f"{names.get(type(value), 'the date or time')} {_shown(value)}"
