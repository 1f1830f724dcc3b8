"""`[engine]` of a model.toml with `kind = "llm"`: an unknown or mistyped key is an error that names it.

context_tokens = 4096       # prompt and answer together; the model's own, at most 8192, where it is not given
memory_bytes = "1.5GiB"     # weights, pages and scratch together; what the machine or its control group has
kv_bytes = "512MiB"         # pages of keys and values; a share of what is left of the memory
kv_type = "f16"             # or "int8", "f32"
precision = "quantised"     # activations in 8 bits where the weights are; or "exact": f32
runner = "compiled"         # or "reference": NumPy, slow, to compare with
max_running = 16            # answers written at a time
max_waiting = 1024          # and refused past it
max_step_tokens = 512       # prompt tokens read in a step
max_mixed_tokens = 128      # of a step in which somebody's answer goes on
draft = "lookup"            # guesses from the text itself; or a folder with a smaller model of the same tokens
draft_tokens = 4            # guessed at a time
max_adapters = 8
adapters = { name = "file or folder below the version's folder" }
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from hekla.base.errors import ConfigError, nearest_name, quoted

_SIZE = re.compile(r"(\d+(?:\.\d+)?) *(B|KiB|MiB|GiB|KB|MB|GB)?")
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_BYTES = ("memory_bytes", "kv_bytes")
_CHOICES = {
    "kv_type": ("f16", "int8", "f32"),
    "precision": ("quantised", "exact"),
    "runner": ("compiled", "reference"),
}
_MOST = {  # what nobody means to be over, and memory is made for
    "context_tokens": 1 << 20,
    "max_running": 1024,
    "max_waiting": 1 << 20,
    "max_step_tokens": 1 << 14,
    "max_mixed_tokens": 1 << 14,
    "draft_tokens": 16,
    "max_adapters": 64,
}


@dataclass(frozen=True, slots=True)
class LlmOptions:
    """What is documented above; None where the default depends on the model or the machine."""

    context_tokens: int | None = None
    memory_bytes: int | None = None
    kv_bytes: int | None = None
    kv_type: str = "f16"
    precision: str = "quantised"
    runner: str = "compiled"
    max_running: int = 16
    max_waiting: int = 1024
    max_step_tokens: int = 512
    max_mixed_tokens: int | None = None
    draft: str = ""
    draft_tokens: int = 4
    max_adapters: int = 8
    adapters: Mapping[str, str] = field(default_factory=dict)


def read_options(given: Mapping[str, object], where: str) -> LlmOptions:
    """Return checked options. Errors: ConfigError naming the key at fault below `where`, and the nearest known one."""
    known = [option.name for option in fields(LlmOptions)]
    checked: dict[str, Any] = {}  # Any: each value has its field's type
    for key, value in given.items():
        if key not in known:
            raise ConfigError("unknown option", where=f"{where}.{key}", cure=nearest_name(key, known))
        checked[key] = _checked(key, value, f"{where}.{key}")
    options = LlmOptions(**checked)
    if options.max_running > options.max_step_tokens:
        raise ConfigError(
            f"{options.max_running} answers cannot go on in steps of {options.max_step_tokens} tokens",
            where=f"{where}.max_running",
            cure="raise max_step_tokens",
        )
    return options


def _checked(key: str, value: object, where: str) -> object:
    if key in _BYTES:
        return _size(value, where)
    if key in _CHOICES:
        if value not in _CHOICES[key]:
            choices = ", ".join(_CHOICES[key])
            raise ConfigError(f"expected one of {choices}, got {quoted(value)}", where=where)
        return value
    if key == "draft":
        if not isinstance(value, str):
            raise ConfigError(f'expected "lookup" or a folder, got {quoted(value)}', where=where)
        return value
    if key == "adapters":
        if not isinstance(value, Mapping) or not all(isinstance(path, str) and path for path in value.values()):
            raise ConfigError("expected names with their files", where=where, cure='{ polite = "adapters/polite" }')
        return dict(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST[key]:
        raise ConfigError(f"expected a whole number from 1 to {_MOST[key]}, got {quoted(value)}", where=where)
    return value


def _size(value: object, where: str) -> int:
    found = _SIZE.fullmatch(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    size = 0 if found is None else int(float(found[1]) * _UNITS[found[2] or "B"])
    if size <= 0:
        raise ConfigError(f'expected bytes, as 1073741824 or "1GiB", got {quoted(value)}', where=where)
    return size
