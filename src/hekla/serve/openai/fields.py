"""A JSON object read key by key, strictly: unknown keys, wrong types and numbers out of range are refused by path."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hekla.base.errors import InputError, TooLargeError, nearest_name, quoted
from hekla.serve.oip.rest_request import read_json

_LIMIT_BYTES = 8 << 20  # of a request that is text: the longest contexts are a few million characters

# Any: JSON values, whose shape this module checks.
Json = dict[str, Any]


class Fields:
    """One object and where it is. Null is as good as left out, as OpenAI has it."""

    def __init__(self, document: Mapping[str, Any], where: str, known: Iterable[str]) -> None:
        """Errors: InputError for a key that is not known."""
        self._document, self.where = document, where
        names = frozenset(known)
        unknown = [name for name in document if name not in names]
        if unknown:
            name = unknown[0]
            raise InputError(
                f"unrecognized argument {quoted(name)}", where=f"{where}.{name[:100]}", cure=nearest_name(name, names)
            )

    def has(self, key: str) -> bool:
        """True if the key is there and not null."""
        return self._document.get(key) is not None

    def raw(self, key: str) -> Any:
        """Return the value as it is; None where there is none."""
        return self._document.get(key)

    def place(self, key: str) -> str:
        """Return how errors name a key."""
        return f"{self.where}.{key}"

    def error(self, key: str, message: str, cure: str = "") -> InputError:
        """Return an error about a key."""
        return InputError(message, where=self.place(key), cure=cure)

    def text(self, key: str, default: str = "") -> str:
        """Return a text."""
        value = self._document.get(key)
        return default if value is None else text_at(value, self.place(key))

    def needed_text(self, key: str, noun: str) -> str:
        """Return a text that must be there, and not empty."""
        value = self._document.get(key)
        if not isinstance(value, str) or not value:
            raise self.error(key, f"must be {noun}" + ("" if value is None else f", got {quoted(value)}"))
        return text_at(value, self.place(key))

    def boolean(self, key: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self._document.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, got {quoted(value)}")
        return value

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int | None:
        """Return a whole number within bounds, or the default."""
        value = self._document.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(key, f"must be a whole number from {low} to {high}, got {quoted(value)}")
        return value

    def number(self, key: str, low: float, high: float, default: float) -> float:
        """Return a number within bounds."""
        value = self._document.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.error(key, f"must be a number from {low:g} to {high:g}, got {quoted(value)}")
        return float(value)

    def choice(self, key: str, known: Sequence[str], default: str) -> str:
        """Return one of several words."""
        value = self._document.get(key)
        if value is None:
            return default
        if not isinstance(value, str) or value not in known:
            cure = nearest_name(value, known) if isinstance(value, str) else f"known: {', '.join(known)}"
            raise self.error(key, f"is {quoted(value)}", cure)
        return value

    def listed(self, key: str, limit: int) -> list[Any]:
        """Return a list; () where there is none."""
        value = self._document.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(key, f"must be a list, got {quoted(value)}")
        if len(value) > limit:
            raise TooLargeError(self.place(key), limit=f"{limit} entries", got=str(len(value)))
        return value

    def mapping(self, key: str) -> Json | None:
        """Return an object; None where there is none."""
        value = self._document.get(key)
        return None if value is None else object_at(value, self.place(key))

    def fields(self, key: str, known: Iterable[str]) -> "Fields | None":
        """Return an object to be read; None where there is none."""
        value = self.mapping(key)
        return None if value is None else Fields(value, self.place(key), known)

    def refuse(self, key: str, allowed: Sequence[object], reason: str, cure: str = "") -> None:
        """Refuse a key that asks for what is not done; null and the values allowed ask for nothing."""
        value = self._document.get(key)
        if value is not None and value not in allowed:
            raise self.error(key, reason, cure)


def read_body(body: memoryview) -> Json:
    """Return the JSON object of a request.

    Errors: InputError for what is no JSON object in UTF-8, and for a key of it that is given twice; TooLargeError.
    """
    if len(body) > _LIMIT_BYTES:
        raise TooLargeError("request body", limit=f"{_LIMIT_BYTES} bytes of text", got=f"{len(body)} bytes")
    document = read_json(body)
    content = bytes(body)
    # The same key may be in an object further in; only then is a slower look needed.
    if any(content.count(b'"%b"' % key.encode()) > 1 for key in document):
        try:
            json.JSONDecoder(object_pairs_hook=_refuse_twice).decode(content.decode())
        except RecursionError:
            raise InputError("the body is nested too deep", where="$") from None
    return document


def _refuse_twice(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InputError(f"{quoted(key)} is given twice", where=f"$.{key[:100]}", cure="which one is meant?")
            seen.add(key)
    return found


def text_at(value: Any, where: str) -> str:
    """Return a value that must be Unicode text."""
    if not isinstance(value, str):
        raise InputError(f"must be a text, got {quoted(value)}", where=where)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError("is not valid Unicode text", where=where) from None
    return value


def object_at(value: Any, where: str) -> Json:
    """Return a value that must be an object."""
    if not isinstance(value, dict):
        raise InputError(f"must be an object, got {quoted(value)}", where=where)
    return value
