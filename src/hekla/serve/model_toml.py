"""Reads one model folder's `model.toml`; docs/formats/model-toml.md defines the format."""

import re
import tomllib
from pathlib import Path

from hekla.base.errors import ConfigError
from hekla.serve.config import ModelConfig
from hekla.serve.model_rules import check_model
from hekla.serve.toml_lines import key_lines
from hekla.serve.toml_place import TomlPlaces
from hekla.serve.toml_reader import TomlReader

MODEL_TOML = "model.toml"
LIMIT_BYTES = 1 << 20  # people write these files; a larger one is something else

_AT_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_AT_END = " (at end of document)"


def read_model_toml(path: Path) -> ModelConfig:
    """Return what a `model.toml` says; the model is named as the folder the file lies in.

    Errors: ConfigError, and nothing else, for a file that cannot be read, is not TOML, or says something unknown, of
    the wrong type, out of range or contradictory. `where` is file, line and key:
    `models/ocr/model.toml:12: [batching].max_batch`.
    """
    text = _read(path)
    document = _parse(text, str(path))
    places = TomlPlaces(str(path), key_lines(text))
    given = {"name": path.absolute().parent.name, "path": path}
    config: ModelConfig = TomlReader(places).table(ModelConfig, document, (), given)
    check_model(config, places)
    return config


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise ConfigError(
            f"cannot be read: {reason}", where=str(path), cure="every model folder has a model.toml"
        ) from error
    except ValueError as error:  # a NUL in the path
        raise ConfigError(
            "is no file name", where=repr(str(path)), cure="name the model.toml of a model folder"
        ) from error
    if len(content) > LIMIT_BYTES:
        raise ConfigError(
            f"is over {LIMIT_BYTES} bytes", where=str(path), cure="keep data in files of the version's folder"
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8", where=f"{path}:{line}", cure="save the file as UTF-8") from error


def _parse(text: str, file: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError("is nested too deep", where=file, cure="a model.toml is at most four levels deep") from error
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        message = str(error)
        if found := _AT_LINE.search(message):
            where, message = f"{file}:{found[1]}:{found[2]}", message[: found.start()]
        else:
            where, message = f"{file}:{text.count(chr(10), 0, len(text.rstrip())) + 1}", message.removesuffix(_AT_END)
        raise ConfigError(
            f"not valid TOML: {message}", where=where, cure="see https://toml.io for the syntax"
        ) from error
