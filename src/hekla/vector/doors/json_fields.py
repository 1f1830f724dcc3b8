"""Reads JSON objects field by field: types are checked, and a field nobody asked for is an error with its path."""

import math
from typing import Any

import orjson

from hekla.base.errors import InputError, UnsupportedError, nearest_name, quoted

Json = Any  # a value of a JSON document


def read_json(body: bytes) -> Json:
    """Return the document in a body. Errors: InputError where it is no JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"is no JSON: {error}", where="request body") from None


class Fields:
    """One object. Null stands for a field that is not there. Ask for every field, then call `end`."""

    def __init__(self, document: Json, where: str = "$") -> None:
        if not isinstance(document, dict):
            raise InputError(f"expected an object, got {quoted(document)}", where=where)
        self.where = where
        self._document = document
        self._known: set[str] = set()

    def place(self, name: str) -> str:
        """Return how errors name a field."""
        return f"{self.where}.{name}"

    def get(self, name: str) -> Json:
        """Return a field of any type, None where it is not there."""
        self._known.add(name)
        return self._document.get(name)

    def need(self, name: str) -> Json:
        """Return a field that must be there."""
        value = self.get(name)
        if value is None:
            raise InputError("this field is missing", where=self.place(name))
        return value

    def text(self, name: str) -> str | None:
        """Return a text."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise InputError(f"expected a text, got {quoted(value)}", where=self.place(name))
        return value

    def need_text(self, name: str) -> str:
        """Return a text that must be there."""
        self.need(name)
        text = self.text(name)
        assert text is not None, "it is there"
        return text

    def whole(self, name: str, default: int, low: int = 0) -> int:
        """Return a whole number from `low` on."""
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise InputError(f"expected a whole number from {low} on, got {quoted(value)}", where=self.place(name))
        return value

    def number(self, name: str) -> float | None:
        """Return a finite number."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"expected a number, got {quoted(value)}", where=self.place(name))
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InputError(f"expected true or false, got {quoted(value)}", where=self.place(name))
        return value

    def items(self, name: str) -> list[Json] | None:
        """Return a list."""
        value = self.get(name)
        if value is not None and not isinstance(value, list):
            raise InputError(f"expected a list, got {quoted(value)}", where=self.place(name))
        return value

    def texts(self, name: str) -> list[str]:
        """Return a list of texts that must be there."""
        self.need(name)
        found = self.items(name) or []
        for i, value in enumerate(found):
            if not isinstance(value, str):
                raise InputError(f"expected a text, got {quoted(value)}", where=f"{self.place(name)}[{i}]")
        return found

    def inner(self, name: str) -> "Fields | None":
        """Return an object."""
        value = self.get(name)
        return None if value is None else Fields(value, self.place(name))

    def names(self) -> list[str]:
        """Return the names of the fields that are there."""
        return [name for name, value in self._document.items() if value is not None]

    def ignore(self, *names: str) -> None:
        """Take fields that change nothing here: hints for another machine's memory, disks and shards."""
        self._known.update(names)

    def refuse(self, *names: str) -> None:
        """Refuse fields by name that would change the answer. Errors: UnsupportedError."""
        for name in names:
            value = self.get(name)
            if value is not None and value != [] and value is not False:
                raise UnsupportedError("is not supported here", where=self.place(name), cure="leave it out")

    def end(self) -> None:
        """Refuse fields nobody asked for. Errors: InputError."""
        unknown = sorted(name for name in set(self._document) - self._known if self._document[name] is not None)
        if unknown:
            name = unknown[0]
            cure = nearest_name(name, self._known)
            raise InputError(f"unknown field {quoted(name)}", where=self.place(name[:100]), cure=cure)
