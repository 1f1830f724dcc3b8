"""What a model's file says of itself, read with checks: a value that is missing or of another kind is named."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import ModelFileError, UnsupportedError, quoted

NumberArray: TypeAlias = NDArray[Any]  # Any: the element type is the file's choice
MetadataValue: TypeAlias = bool | int | float | str | Sequence[str] | NumberArray
MISSING_CURE = "the file is damaged, or of a kind that is newer than this build"


class Metadata:
    """Typed reading of a table of values: GGUF's metadata, or a `config.json`.

    `where` is what errors call the file; `prefix` goes before every key that is asked for.
    """

    def __init__(self, values: Mapping[str, object], where: str, prefix: str = "") -> None:
        self.values, self.where, self.prefix = values, where, prefix

    def under(self, prefix: str) -> "Metadata":
        """Return the same table, seen from under a prefix."""
        return Metadata(self.values, self.where, prefix)

    def table(self, key: str) -> "Metadata | None":
        """Return a table inside of the table; None where there is none. Errors: ModelFileError for another kind."""
        found = self.get(key)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise self.wrong(key, "a table", found)
        return Metadata(found, f"{self.where}: {self.prefix}{key}")

    def get(self, key: str) -> object:
        """Return the value as the file has it; None where it has none."""
        return self.values.get(self.prefix + key)

    def wrong(self, key: str, expected: str, found: object) -> ModelFileError:
        """Return the error for a value that is not what it must be."""
        got = "nothing" if found is None else quoted(found)
        return ModelFileError(f"expected {expected}, found {got}", where=f"{self.where}: {self.prefix}{key}")

    def integer(self, key: str, default: int | None = None, *, least: int = 1, most: int = 1 << 31) -> int:
        """Return a whole number. Errors: ModelFileError for none, or one that is out of bounds."""
        found = self.get(key)
        if found is None and default is not None:
            return default
        if isinstance(found, float) and found.is_integer():
            found = int(found)
        if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
            raise self.wrong(key, f"a whole number from {least} to {most}", found)
        return found

    def same_in_all(self, key: str, default: int | None = None) -> int:
        """Return a whole number that may be written once or once a layer, all equal.

        Errors: UnsupportedError for layers that differ; ModelFileError.
        """
        found = self.get(key)
        if not isinstance(found, np.ndarray | list):
            return self.integer(key, default)
        different = sorted({int(value) for value in found})
        if len(different) != 1:
            raise UnsupportedError(f"layers differ in it: {different[:8]}", where=f"{self.where}: {self.prefix}{key}")
        return Metadata({key: different[0]}, self.where).integer(key)

    def number(self, key: str, default: float | None = None, *, least: float = 0.0, most: float = 1e30) -> float:
        """Return a finite number. Errors: ModelFileError for none, or one that is out of bounds."""
        found = self.get(key)
        if found is None and default is not None:
            return default
        if not isinstance(found, int | float) or isinstance(found, bool) or not math.isfinite(found):
            raise self.wrong(key, "a number", found)
        if not least <= found <= most:
            raise self.wrong(key, f"a number from {least:g} to {most:g}", found)
        return float(found)

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a truth value. Errors: ModelFileError for another kind."""
        found = self.get(key)
        if found is None:
            return default
        if not isinstance(found, bool):
            raise self.wrong(key, "true or false", found)
        return found

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text. Errors: ModelFileError for none, or another kind."""
        found = self.get(key)
        if found is None and default is not None:
            return default
        if not isinstance(found, str):
            raise self.wrong(key, "a text", found)
        return found

    def texts(self, key: str) -> Sequence[str] | None:
        """Return an array of texts; None where there is none. Errors: ModelFileError for another kind."""
        found = self.get(key)
        if found is None:
            return None
        if isinstance(found, str | bytes | np.ndarray) or not isinstance(found, Sequence):
            raise self.wrong(key, "an array of texts", found)
        if isinstance(found, list) and not all(isinstance(item, str) for item in found):
            raise self.wrong(key, "an array of texts", found)
        return found

    def numbers(self, key: str, dtype: type[np.generic]) -> NumberArray | None:
        """Return an array of numbers as another element type; None where there is none. Errors: ModelFileError."""
        found = self.get(key)
        if found is None:
            return None
        if not isinstance(found, np.ndarray):
            raise self.wrong(key, "an array of numbers", found)
        return found.astype(dtype)
