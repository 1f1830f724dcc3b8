"""Which files an ONNX model may read: itself and external data, all of it inside the version's folder."""

import mmap
from pathlib import Path, PurePosixPath, PureWindowsPath

from hekla.base.errors import ModelFileError
from hekla.engines.onnx_wire import ExternalData, WireError, external_data, unranked_values
from hekla.engines.options import option_place, text_option
from hekla.protocols.engine import EngineSource

# ONNX Runtime reads tensors whose location is this text from a memory address the file names.
_MEMORY_TAG = "_ORT_MEM_ADDR_"


def model_file(source: EngineSource) -> Path:
    """Return the path of the version's ONNX file. Errors: ModelFileError if it is missing or outside the folder."""
    name = text_option(source, "file", "model.onnx")
    where = option_place(source, "file")
    if _leaves(name):
        raise ModelFileError(f"{name!r} leads out of the version's folder", where=where, cure="name a file inside it")
    path = source.folder / name
    if not path.is_file():
        raise ModelFileError(
            f"there is no file {name!r} in version {source.version}", where=where, cure=_present(source)
        )
    if not path.resolve().is_relative_to(source.folder.resolve()):
        raise ModelFileError(
            f"{name!r} is a link that leads out of the version's folder",
            where=where,
            cure="copy the file, or make the version's folder itself the link",
        )
    return path


def check_files(path: Path, source: EngineSource) -> frozenset[str]:
    """Check every file the ONNX file refers to; return the inputs and outputs whose rank the file does not state.

    Errors: ModelFileError if the file is not ONNX, or refers to bytes that are missing or outside the folder.
    """
    place = _place(source, path)
    if path.stat().st_size == 0:
        raise ModelFileError("the file is empty", where=place)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as model:
        try:
            for data in external_data(model):
                _check_external(data, path, source, place)
            return unranked_values(model)
        except WireError as error:
            raise ModelFileError(f"not an ONNX file, or a damaged one: {error}", where=place) from None


def _check_external(data: ExternalData, path: Path, source: EngineSource, place: str) -> None:
    keys = [key for key, _ in data.entries]
    if len(set(keys)) != len(keys):
        raise ModelFileError("a tensor's external data names a key twice", where=place)
    entries = dict(data.entries)
    try:
        location = entries.get(b"location", b"").decode()
    except UnicodeDecodeError:
        raise ModelFileError("external data at a location that is not UTF-8", where=place) from None
    if not location:
        return  # nothing to read: ONNX Runtime refuses a tensor that needed it
    if _leaves(location) or _MEMORY_TAG in location or "\0" in location:
        raise ModelFileError(
            f"external data at {location!r}, which is outside the version's folder",
            where=place,
            cure="save the model with its data beside it, under a relative name",
        )
    target = (path.parent / location).resolve()
    if not target.is_relative_to(source.folder.resolve()):
        raise ModelFileError(
            f"external data at {location!r}, a link that leads out of the version's folder",
            where=place,
            cure="copy the data into the folder",
        )
    if not target.is_file():
        raise ModelFileError(f"external data at {location!r}, and there is no such file", where=place)
    needed, size = _number(entries, b"offset", place) + _number(entries, b"length", place), target.stat().st_size
    if needed > size:
        raise ModelFileError(f"external data up to byte {needed} of {location!r}, which has {size} bytes", where=place)


def _number(entries: dict[bytes, bytes], key: bytes, place: str) -> int:
    text = entries.get(key, b"0")
    if not text.isdigit() or len(text) > 19:
        raise ModelFileError(f"external data with {key.decode()} {text!r}: expected a byte count", where=place)
    return int(text)


def _leaves(name: str) -> bool:
    """True for a name that is absolute or climbs, read either as POSIX or as Windows reads it."""
    windows = PureWindowsPath(name)
    return PurePosixPath(name).is_absolute() or bool(windows.anchor) or ".." in windows.parts


def _present(source: EngineSource) -> str:
    names = sorted(p.name for p in source.folder.glob("*.onnx")) if source.folder.is_dir() else []
    return f"it has {', '.join(names)}: set `file`" if names else f"put the model at {source.version}/model.onnx"


def _place(source: EngineSource, path: Path) -> str:
    return f"{source.model}/{source.version}/{path.relative_to(source.folder)}"
