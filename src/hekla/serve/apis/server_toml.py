"""Reads a server's configuration file (`hekla serve --config`)."""

import tomllib
from dataclasses import replace
from pathlib import Path

from hekla.base.errors import ConfigError
from hekla.serve.apis.config import ServerToml
from hekla.serve.toml_lines import key_lines
from hekla.serve.toml_place import TomlPlaces
from hekla.serve.toml_reader import TomlReader


def read_server_toml(path: Path) -> ServerToml:
    """Return what the file says, folders as absolute paths. Errors: ConfigError naming file, line and key."""
    try:
        text = path.read_text("utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, nested without end
        raise ConfigError(f"not valid TOML: {error}", where=str(path), cure="see https://toml.io") from error
    found: ServerToml = TomlReader(TomlPlaces(str(path), key_lines(text))).table(ServerToml, document, ())
    beside = path.absolute().parent  # folders are named from where the file lies, wherever the server is started
    return ServerToml({name: replace(api, folder=str(beside / api.folder)) for name, api in found.apis.items()})
