"""From what a person types after `hekla infer MODEL` to the tensors the model takes."""

import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hekla.base.dtypes import DType
from hekla.base.errors import InputError, NotFoundError, nearest_name
from hekla.protocols.tensor import Array, TensorSpec
from hekla.serve.oip.tensors import decode_raw, decode_values, dtype_named

# `Any` below: JSON values, checked as they are read.

STDIN = "-"
_TENSOR_FILES = {".npy", ".npz", ".json", ".raw", ".bin"}
_PROBABLY_A_FILE = _TENSOR_FILES | {".png", ".jpg", ".jpeg", ".webp", ".wav", ".txt", ".pdf"}


@dataclass(frozen=True, slots=True)
class Given:
    """One INPUT argument: its content, and the file it came from ("" for words on the command line)."""

    name: str
    content: bytes

    @property
    def suffix(self) -> str:
        """The file's ending in lower case, with the dot."""
        return Path(self.name).suffix.lower() if self.name else ""


def read_given(argument: str, *, is_text: bool = False) -> Given:
    """Return what an argument stands for: standard input for `-`, a file if there is one, else the text itself.

    Errors: NotFoundError for what looks like a file name and is not there.
    """
    if argument == STDIN and not is_text:
        return Given("", sys.stdin.buffer.read())
    path = Path(argument)
    if not is_text and len(argument) < 4096:
        try:
            if path.is_file():
                return Given(argument, path.read_bytes())
        except (OSError, ValueError) as error:
            raise NotFoundError(f"cannot be read: {error}", where=argument, cure="name a file you may read") from error
        if path.suffix.lower() in _PROBABLY_A_FILE and not any(char.isspace() for char in argument):
            raise NotFoundError("no such file", where=argument, cure="check the path, or give --text if it is text")
    return Given("", argument.encode())


def specs_of(metadata: Mapping[str, Any]) -> list[TensorSpec]:
    """Return the inputs that a model's metadata lists."""
    return [
        TensorSpec(entry["name"], dtype_named(entry["name"], entry["datatype"]), tuple(map(int, entry["shape"])))
        for entry in metadata.get("inputs", ())
    ]


def takes_one_element(specs: Sequence[TensorSpec]) -> bool:
    """True if a request carries a single BYTES element, so that several inputs are several requests."""
    return len(specs) == 1 and specs[0].dtype is DType.BYTES and -1 not in specs[0].shape


def tensors_of(given: Sequence[Given], specs: Sequence[TensorSpec], task: str, shape: str = "") -> dict[str, Array]:
    """Return the tensors to send.

    A model with one BYTES input takes each argument's bytes as one element. Any other takes one tensor file
    (.npy, .npz, .json, raw bytes with --shape) or JSON on the command line.
    Errors: InputError for what does not fit the model.
    """
    takes_bytes = len(specs) == 1 and specs[0].dtype is DType.BYTES
    is_tensor_file = not task and len(given) == 1 and given[0].suffix in {".npy", ".npz", ".json"}
    if takes_bytes and not is_tensor_file:
        return {specs[0].name: _elements(given, specs[0])}
    if len(given) != 1:
        raise InputError(f"expected one tensor file, got {len(given)} inputs", cure="put the tensors into one .npz")
    return _from_file(given[0], specs, shape)


def _elements(given: Sequence[Given], spec: TensorSpec) -> Array:
    array = np.empty(len(given), np.object_)
    array[:] = [item.content for item in given]
    free = next((at for at, extent in enumerate(spec.shape) if extent == -1), None)
    shape = [1] * len(spec.shape)
    if free is not None:
        shape[free] = len(given)
    return array.reshape(shape)


def _from_file(given: Given, specs: Sequence[TensorSpec], shape: str) -> dict[str, Array]:
    where = given.name or "INPUT"
    if given.suffix in (".npy", ".npz") or given.content[:6] == b"\x93NUMPY":
        return _from_numpy(given, specs, where)
    if given.suffix in (".raw", ".bin") or shape:
        spec = _only(specs, where)
        return {spec.name: _from_raw(given, spec, shape, where)}
    try:
        document = json.loads(given.content)
    except ValueError as error:
        kinds = ", ".join(sorted(_TENSOR_FILES))
        raise InputError(
            f"the model takes tensors; this is no JSON: {error}", where=where, cure=f"give {kinds}"
        ) from None
    return _from_json(document, specs, where)


def _from_numpy(given: Given, specs: Sequence[TensorSpec], where: str) -> dict[str, Array]:
    try:
        loaded = np.load(io.BytesIO(given.content), allow_pickle=False)
        arrays = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {_only(specs, where).name: loaded}
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"not a NumPy file: {error}", where=where, cure="write it with numpy.save or savez") from None
    return {name: _fitted(array, _named(name, specs, where), where) for name, array in arrays.items()}


def _fitted(array: Array, spec: TensorSpec, where: str) -> Array:
    """Convert numbers to the model's datatype where that changes no value."""
    if spec.dtype is DType.BYTES or DType.of(array.dtype) is spec.dtype:
        return array
    fitted = array.astype(spec.dtype.numpy)
    if not spec.dtype.is_float and not np.array_equal(fitted, array):
        raise InputError(f"values do not fit {spec.dtype.value}", where=f"{where}: {spec.name}", cure="convert them")
    return fitted


def _from_raw(given: Given, spec: TensorSpec, shape: str, where: str) -> Array:
    extents = list(spec.shape)
    if shape:
        try:
            extents = [int(extent) for extent in shape.replace("x", ",").split(",")]
        except ValueError:
            raise InputError(f"{shape!r} is no shape", where="--shape", cure="write it like 1,3,224,224") from None
    free = [at for at, extent in enumerate(extents) if extent == -1]
    known = spec.dtype.itemsize
    for extent in extents:
        known *= extent if extent != -1 else 1
    if len(free) > 1 or (free and (not known or len(given.content) % known)):
        raise InputError(
            f"the shape {extents} does not follow from {len(given.content)} bytes", where=where, cure="give --shape"
        )
    if free:
        extents[free[0]] = len(given.content) // known
    return decode_raw(where, spec.dtype, extents, given.content)


def _from_json(document: Any, specs: Sequence[TensorSpec], where: str) -> dict[str, Array]:
    if isinstance(document, dict) and isinstance(document.get("inputs"), list):  # the protocol's own form
        document = {entry.get("name", ""): entry.get("data") for entry in document["inputs"] if isinstance(entry, dict)}
    if not isinstance(document, dict):
        document = {_only(specs, where).name: document}
    return {name: _from_lists(values, _named(name, specs, where), where) for name, values in document.items()}


def _from_lists(values: Any, spec: TensorSpec, where: str) -> Array:
    if not isinstance(values, list):
        values = [values]
    shape: list[int] = []
    level = values
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    if len(shape) == 1 and len(spec.shape) > 1:  # flat data: the model says the shape
        known = -int(np.prod(spec.shape)) if list(spec.shape).count(-1) == 1 else 0
        if known > 0 and len(values) % known == 0:
            shape = [extent if extent != -1 else len(values) // known for extent in spec.shape]
    return decode_values(f"{where}: {spec.name}", spec.dtype, shape, values)


def _only(specs: Sequence[TensorSpec], where: str) -> TensorSpec:
    if len(specs) != 1:
        names = ", ".join(spec.name for spec in specs) or "none"
        raise InputError(
            f"the model takes several inputs: {names}", where=where, cure="give .npz or .json with their names"
        )
    return specs[0]


def _named(name: str, specs: Sequence[TensorSpec], where: str) -> TensorSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    raise InputError(
        f"{name!r} is no input of the model", where=where, cure=nearest_name(name, [s.name for s in specs])
    )
