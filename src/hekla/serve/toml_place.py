"""Where in a TOML file something is wrong, as every error about the file says it."""

from collections.abc import Mapping
from dataclasses import dataclass

from hekla.base.errors import ConfigError
from hekla.serve.toml_lines import KeyPath


@dataclass(frozen=True, slots=True)
class TomlPlaces:
    """A file's name and its keys' lines."""

    file: str
    lines: Mapping[KeyPath, int]

    def where(self, path: KeyPath) -> str:
        """Return `models/ocr/model.toml:12: [batching].max_batch` for the key at a path.

        A key that is not in the file has the line of the nearest table around it.
        """
        known = path
        while known not in self.lines:
            known = known[:-1]
        name = _name(path)
        return f"{self.file}:{self.lines[known]}: {name}" if name else f"{self.file}:{self.lines[known]}"

    def error(self, path: KeyPath, message: str, cure: str) -> ConfigError:
        """Return the error to raise about the key at a path."""
        return ConfigError(message, where=self.where(path), cure=cure)


def _name(path: KeyPath) -> str:
    """Write a path as the file has it: `[queue].capacity`, `[[batching.pad]][0].axis`, `[batching].preferred[1]`."""
    first_number = next((at for at, part in enumerate(path) if isinstance(part, int)), len(path))
    head, rest = "", path
    if first_number + 1 < len(path):
        head, rest = f"[[{_dotted(path[:first_number])}]][{path[first_number]}]", path[first_number + 1 :]
    elif first_number > 1:
        head, rest = f"[{_dotted(path[: first_number - 1])}]", path[first_number - 1 :]
    return (head + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)).lstrip(".")


def _dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path)
