"""One request as bytes and how to read its answer, in each form that servers here speak.

| form | request | answer |
|---|---|---|
| oip_json | Open Inference Protocol v2, numbers in JSON | the same |
| oip_binary | the protocol's binary tensor extension: a JSON head, then raw tensors | the same |
| oip_grpc | GRPCInferenceService.ModelInfer with raw contents | the same, or typed contents |
| plain_json | {"x": [[...]], ...}: what servers without the protocol take | {"y": [[...]], ...} |
"""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import orjson
from tritonclient.grpc import service_pb2

from benchmarks.serve.cases import Array, Case, datatype

Protocol = Literal["json", "binary", "grpc"]
PROTOCOLS: tuple[Protocol, ...] = ("json", "binary", "grpc")
GRPC_PATH = "/inference.GRPCInferenceService/ModelInfer"
# Any: the element type depends on the output read.
_NUMPY: dict[str, "np.dtype[Any]"] = {"FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request ready to be sent again and again: an HTTP/1.1 message, or a gRPC call's protobuf."""

    is_grpc: bool
    request: bytes
    decode: Callable[[bytes, bytes], Mapping[str, Array]]  # (HTTP head, body) -> outputs by name


def oip_json(case: Case, path: str) -> Exchange:
    """Return the protocol's JSON form, posted to `path`."""
    inputs = [
        {"name": name, "shape": array.shape, "datatype": datatype(array), "data": array.ravel().tolist()}
        for name, array in case.inputs.items()
    ]
    body = orjson.dumps({"inputs": inputs})
    return Exchange(False, _post(path, body, {"Content-Type": "application/json"}), _decode_oip)


def oip_binary(case: Case, path: str) -> Exchange:
    """Return the binary tensor form: every input and output raw, little-endian."""
    inputs = [
        {
            "name": name,
            "shape": array.shape,
            "datatype": datatype(array),
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in case.inputs.items()
    ]
    outputs = [{"name": name, "parameters": {"binary_data": True}} for name in case.outputs]
    head = orjson.dumps({"inputs": inputs, "outputs": outputs})
    body = head + b"".join(array.tobytes() for array in case.inputs.values())
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return Exchange(False, _post(path, body, headers), _decode_oip)


def oip_grpc(case: Case) -> Exchange:
    """Return the gRPC form, tensors in raw_input_contents."""
    request = service_pb2.ModelInferRequest(model_name=case.name)
    for name, array in case.inputs.items():
        request.inputs.add(name=name, datatype=datatype(array), shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    for name in case.outputs:
        request.outputs.add(name=name)
    return Exchange(True, request.SerializeToString(), _decode_grpc)


def plain_json(case: Case, path: str) -> Exchange:
    """Return nested lists by input name."""
    body = orjson.dumps({name: array.tolist() for name, array in case.inputs.items()})
    return Exchange(False, _post(path, body, {"Content-Type": "application/json"}), _decode_plain)


def stacked_json(case: Case, path: str) -> Exchange:
    """Return all inputs, of one shape each, as one array with an axis of inputs after the batch axis."""
    stacked = np.stack(list(case.inputs.values()), axis=1)
    body = orjson.dumps({"stacked": stacked.tolist()})
    return Exchange(False, _post(path, body, {"Content-Type": "application/json"}), _decode_plain)


def _post(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _decode_oip(head: bytes, body: bytes) -> dict[str, Array]:
    length = len(body)
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"inference-header-content-length":
            length = int(value)
    raw = body[length:]
    answer: dict[str, Array] = {}
    for output in json.loads(body[:length])["outputs"]:
        dtype = _NUMPY[output["datatype"]]
        size = output.get("parameters", {}).get("binary_data_size") if "data" not in output else None
        if size is None:
            array = np.array(output["data"], dtype)
        else:
            array, raw = np.frombuffer(raw[:size], dtype), raw[size:]
        answer[output["name"]] = array.reshape(output["shape"])
    return answer


def _decode_grpc(head: bytes, body: bytes) -> dict[str, Array]:
    _, length = struct.unpack_from(">BI", body)
    response = service_pb2.ModelInferResponse.FromString(body[5 : 5 + length])
    answer: dict[str, Array] = {}
    for index, output in enumerate(response.outputs):
        dtype = _NUMPY[output.datatype]
        if response.raw_output_contents:
            array = np.frombuffer(response.raw_output_contents[index], dtype)
        else:
            typed = output.contents.fp32_contents if dtype.kind == "f" else output.contents.int64_contents
            array = np.array(typed, dtype)
        answer[output.name] = array.reshape(tuple(output.shape))
    return answer


def _decode_plain(head: bytes, body: bytes) -> dict[str, Array]:
    answer = json.loads(body)
    # A server that names no outputs answers the array alone.
    return (
        {name: np.array(value) for name, value in answer.items()}
        if isinstance(answer, dict)
        else {"": np.array(answer)}
    )
