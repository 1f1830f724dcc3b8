"""An inference request of the Open Inference Protocol over REST: JSON, with the binary tensor extension.

    body = JSON document                                 all tensors in its `data`
         | JSON document, then raw tensors one after     `Inference-Header-Content-Length` says where the JSON ends,
           another in the order of the inputs            each input's `binary_data_size` how long its tensor is

Yardsticks: the protocol's open_inference_rest.yaml, and what `tritonclient.http` sends.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from hekla.base.errors import InputError, TooLargeError, UnsupportedError, nearest_name, quoted
from hekla.protocols.tensor import Array
from hekla.serve.oip.parameters import read_standing
from hekla.serve.oip.shared_memory import SharedMemoryRegions, SharedRange, shared_range
from hekla.serve.oip.tensors import CopyCount, decode_raw, decode_values, dtype_named
from hekla.serve.request import InferRequest

_REQUEST_KEYS = frozenset({"id", "parameters", "inputs", "outputs"})
_INPUT_KEYS = frozenset({"name", "shape", "datatype", "parameters", "data"})
_OUTPUT_KEYS = frozenset({"name", "parameters"})
_MAX_TENSORS = 1024
_LONGEST_NAME = 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the client wants its outputs: as binary by name or all of them, or written to shared memory."""

    all_binary: bool = False
    binary: frozenset[str] = frozenset()
    json: frozenset[str] = frozenset()
    shared: tuple[tuple[str, SharedRange], ...] = ()


_PLAIN = Wanted()
_NOTHING: dict[str, Any] = {}  # read only: the parameters of what has none


def decode_infer(
    model: str, version: str, body: memoryview, json_bytes: int | None, regions: SharedMemoryRegions
) -> tuple[InferRequest, Wanted]:
    """Return the request in a body and how its outputs are wanted.

    Args: `json_bytes` is the value of Inference-Header-Content-Length, None without it.
    Ownership: arrays are views of the body where its alignment allows.
    Errors: InputError, ShapeError, DtypeError with the JSON path; NotFoundError for an unknown region.
    """
    text, raw = body, None
    if json_bytes is not None:
        if json_bytes > len(body):
            raise InputError(
                f"says {json_bytes} bytes of JSON, but the body has {len(body)}",
                where="header Inference-Header-Content-Length",
            )
        text, raw = body[:json_bytes], body[json_bytes:]
    document = read_json(text)
    _known_keys(document, _REQUEST_KEYS, "$")
    inputs, copied = _inputs(document, raw, regions)
    request = InferRequest(model, inputs, version, copied_bytes=copied)
    identity = document.get("id")
    if identity is not None:
        if not isinstance(identity, str):
            raise InputError("must be a string", where="$.id")
        request.id = identity
    parameters = _parameters(document, "$")
    wanted = _PLAIN
    if parameters:
        request.priority, request.timeout_us, request.sequence, request.parameters = read_standing(parameters)
    if parameters or "outputs" in document:
        wanted, request.outputs = _outputs(document, parameters)
    return request, wanted


def read_json(text: memoryview | bytes) -> dict[str, Any]:
    """Return a JSON object. Errors: InputError with line and column for anything else; nesting is limited to 1024."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the body is not JSON: {error}", where="$") from None
    if not isinstance(document, dict):
        raise InputError("the body must be a JSON object", where="$")
    return document


def _inputs(
    document: dict[str, Any], raw: memoryview | None, regions: SharedMemoryRegions
) -> tuple[dict[str, Array], int]:
    listed = document.get("inputs")
    if not isinstance(listed, list):
        raise InputError("must be a list of tensors", where="$.inputs")
    if len(listed) > _MAX_TENSORS:
        raise TooLargeError("$.inputs", limit=f"{_MAX_TENSORS} tensors", got=str(len(listed)))
    inputs: dict[str, Array] = {}
    copies = CopyCount()
    position = 0
    for index, item in enumerate(listed):
        where = f"$.inputs[{index}]"
        if not isinstance(item, dict):
            raise InputError("must be an object", where=where)
        name = _text(item, "name", where)
        if name in inputs:
            raise InputError(f"input {name!r} is given twice", where=f"{where}.name")
        _known_keys(item, _INPUT_KEYS, where)
        dtype = dtype_named(where, _text(item, "datatype", where))
        shape = item.get("shape")
        if not isinstance(shape, list):
            raise InputError("must be a list of integers", where=f"{where}.shape")
        parameters = _parameters(item, where)
        if parameters:
            size = parameters.get("binary_data_size")
            if size is not None:
                chunk = _binary_chunk(raw, position, size, f"{where}.parameters.binary_data_size")
                _no_data(item, where)
                inputs[name] = decode_raw(where, dtype, shape, chunk, copies)
                position += len(chunk)
                continue
            target = shared_range(parameters, f"{where}.parameters")
            if target is not None:
                _no_data(item, where)
                view = regions.read(target.region, target.offset, target.byte_size)
                inputs[name] = decode_raw(where, dtype, shape, view, copies)
                continue
        data = item.get("data")
        if not isinstance(data, list):
            raise InputError("must be a list of values", where=f"{where}.data")
        inputs[name] = decode_values(where, dtype, shape, data)
    if raw is not None and position != len(raw):
        raise InputError(f"{len(raw) - position} bytes follow the last binary tensor", where="request body")
    return inputs, copies.bytes


def _binary_chunk(raw: memoryview | None, position: int, size: object, where: str) -> memoryview:
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise InputError(f"must be a whole number of 0 or more, got {quoted(size)}", where=where)
    if raw is None:
        raise InputError("there is no binary data", where=where, cure="set the header Inference-Header-Content-Length")
    if position + size > len(raw):
        raise InputError(f"says {size} bytes, but only {len(raw) - position} are left in the body", where=where)
    return raw[position : position + size]


def _outputs(document: dict[str, Any], parameters: dict[str, Any]) -> tuple[Wanted, tuple[str, ...]]:
    all_binary = parameters.get("binary_data_output", False)
    if not isinstance(all_binary, bool):
        raise InputError("must be true or false", where="$.parameters.binary_data_output")
    listed = document.get("outputs")
    if listed is None:
        return Wanted(all_binary=all_binary), ()
    if not isinstance(listed, list):
        raise InputError("must be a list of outputs", where="$.outputs")
    if len(listed) > _MAX_TENSORS:
        raise TooLargeError("$.outputs", limit=f"{_MAX_TENSORS} tensors", got=str(len(listed)))
    names: list[str] = []
    binary: set[str] = set()
    json: set[str] = set()
    shared: list[tuple[str, SharedRange]] = []
    for index, item in enumerate(listed):
        where = f"$.outputs[{index}]"
        if not isinstance(item, dict):
            raise InputError("must be an object", where=where)
        _known_keys(item, _OUTPUT_KEYS, where)
        name = _text(item, "name", where)
        names.append(name)
        given = _parameters(item, where)
        if not given:
            continue
        if given.get("classification"):
            raise UnsupportedError(
                "the classification extension is not supported",
                where=f"{where}.parameters.classification",
                cure="ask for the tensor and sort it",
            )
        as_binary = given.get("binary_data")
        if as_binary is not None:
            if not isinstance(as_binary, bool):
                raise InputError("must be true or false", where=f"{where}.parameters.binary_data")
            (binary if as_binary else json).add(name)
        target = shared_range(given, f"{where}.parameters")
        if target is not None:
            shared.append((name, target))
    return Wanted(all_binary, frozenset(binary), frozenset(json), tuple(shared)), tuple(names)


def _parameters(item: dict[str, Any], where: str) -> dict[str, Any]:
    value = item.get("parameters")
    if value is None:
        return _NOTHING
    if not isinstance(value, dict):
        raise InputError("must be an object", where=f"{where}.parameters")
    for name, parameter in value.items():
        if not isinstance(parameter, bool | int | float | str):
            raise InputError(
                "must be a string, a number or a boolean", where=f"{where}.parameters.{name[:_LONGEST_NAME]}"
            )
    return value


def _known_keys(item: dict[str, Any], known: frozenset[str], where: str) -> None:
    if not known.issuperset(item):
        unknown = next(key for key in item if key not in known)
        raise InputError(f"unknown key {quoted(unknown)}", where=where, cure=nearest_name(unknown, known))


def _no_data(item: dict[str, Any], where: str) -> None:
    if "data" in item:
        raise InputError("the tensor is given in two ways", where=f"{where}.data", cure="leave `data` out")


def _text(item: dict[str, Any], key: str, where: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise InputError("must be a string", where=f"{where}.{key}")
    if len(value) > _LONGEST_NAME:
        raise TooLargeError(f"{where}.{key}", limit=f"{_LONGEST_NAME} characters", got=f"{len(value)} characters")
    return value
