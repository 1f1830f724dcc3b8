"""From a version's folder to an engine: `[engine] kind = "ngram"`."""

import dataclasses
from pathlib import Path

from hekla.base.errors import ConfigError, ModelFileError, nearest_name
from hekla.engines.ngram.engine import NgramEngine, NgramOptions
from hekla.protocols.text_engine import TextEngineSource

_LIMIT_BYTES = 4 << 20  # of a corpus: counts take a hundred times as much


def load(source: TextEngineSource) -> NgramEngine:
    """Return an engine that knows the corpus in the version's folder.

    Errors: ConfigError for an option that is unknown or out of range; ModelFileError for the corpus.
    """
    options = NgramOptions(**_checked(source))  # type: ignore[arg-type]  # each value has its field's type
    path = source.folder / options.corpus
    if not path.resolve().is_relative_to(source.folder.resolve()):
        raise ConfigError("leads out of the version's folder", where=f"{source.where}.corpus")
    return NgramEngine(source.model, _read(path), options)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            corpus = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise ModelFileError(
            f"cannot be read: {error.strerror}", where=str(path), cure="put a text there, paragraphs apart by a line"
        ) from error
    if len(corpus) > _LIMIT_BYTES:
        raise ModelFileError(f"is over {_LIMIT_BYTES} bytes", where=str(path))
    return corpus


def _checked(source: TextEngineSource) -> dict[str, int | str]:
    fields = {field.name: field for field in dataclasses.fields(NgramOptions)}
    checked: dict[str, int | str] = {}
    for key, value in source.options.items():
        where = f"{source.where}.{key}"
        if key not in fields:
            raise ConfigError("unknown key", where=where, cure=nearest_name(key, fields))
        if key == "corpus":
            if not isinstance(value, str):
                raise ConfigError("expected the name of a file", where=where)
            checked[key] = value
        elif isinstance(value, bool) or not isinstance(value, int) or not (key == "pace_ms" or value > 0) or value < 0:
            raise ConfigError(f"expected a whole number of {0 if key == 'pace_ms' else 1} or more", where=where)
        else:
            checked[key] = value
    return checked
