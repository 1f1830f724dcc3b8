"""From a file's name to its importer."""

from collections.abc import Callable, Mapping
from pathlib import Path

from hekla.base.errors import NotFoundError, UnsupportedError
from hekla.vector.importing.arrow_file import ArrowSource, ParquetSource
from hekla.vector.importing.hdf5_file import Hdf5Source
from hekla.vector.importing.jsonl_file import JsonlSource
from hekla.vector.importing.numpy_file import NpySource, NpzSource
from hekla.vector.importing.source import Names, Source
from hekla.vector.importing.text_file import LineSource, ParagraphSource
from hekla.vector.importing.vecs_file import VecsSource

Open = Callable[[Path, Names], Source]
KINDS: Mapping[str, Open] = {
    "npy": NpySource,
    "npz": NpzSource,
    "jsonl": JsonlSource,
    "fvecs": VecsSource,
    "bvecs": VecsSource,
    "ivecs": VecsSource,
    "hdf5": Hdf5Source,
    "parquet": ParquetSource,
    "arrow": ArrowSource,
    "lines": LineSource,
    "paragraphs": ParagraphSource,
}
_ENDINGS: Mapping[str, str] = {
    **{f".{kind}": kind for kind in ("npy", "npz", "jsonl", "fvecs", "bvecs", "ivecs", "hdf5", "parquet", "arrow")},
    ".ndjson": "jsonl",
    ".h5": "hdf5",
    ".feather": "arrow",
    ".txt": "paragraphs",
    ".md": "paragraphs",
}


def open_source(path: Path, names: Names, kind: str = "") -> Source:
    """Return the importer of a file; kind "" goes by the name's ending.

    Errors: NotFoundError; UnsupportedError for a kind that is not known, or whose package is missing; what the
    importer finds wrong with the file's beginning.
    """
    if not path.is_file():
        raise NotFoundError("is no file", where=str(path))
    chosen = kind or _ENDINGS.get(path.suffix.lower(), "")
    if chosen not in KINDS:
        what = f"{chosen!r} is no kind of file" if chosen else "its name's ending tells no kind"
        raise UnsupportedError(what, where=str(path), cure=f"say which it is: {', '.join(KINDS)}")
    return KINDS[chosen](path, names)
